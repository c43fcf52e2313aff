#!/usr/bin/env bash
# Shows the differences between two files, including nested archives: ops/ci/diffoscope.sh ONE OTHER
# Uses diffoscope from locked Debian packages, which are downloaded on first use; nothing is installed.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cache=${FASTAPI_BASE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fastapi-base}
lock=$root/3rdparty/debian/diffoscope.lock
tool=$cache/diffoscope-$(cksum < "$lock" | tr ' ' -)
PYTHONPATH=$root "$("$root/ops/build/bootstrap/python.sh" 3.13)" -m ops.ci.unpacked "$lock" "$tool"
libraries=$(dirname "$tool"/usr/lib/*/libmagic.so.1)
exec env PYTHONHOME="$tool/usr" PYTHONPATH="$tool/usr/lib/python3/dist-packages" PYTHONDONTWRITEBYTECODE=1 \
  LIBARCHIVE="$libraries/libarchive.so.13" MAGIC="$tool/usr/lib/file/magic.mgc" \
  "$(echo "$libraries"/ld-linux-*.so.*)" --library-path "$libraries" \
  "$tool/usr/bin/python3.13" "$tool/usr/bin/diffoscope" --no-progress "$@"
