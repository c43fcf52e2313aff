#!/usr/bin/env bash
# ops/template/slices/check.sh SLICES PRESET: runs prove.py in .venv, with mypy from tools.lock. `make slices-check` calls it.
set -euo pipefail
cd "$(dirname "$0")/../../.."
cache=${FASTAPI_BASE_CACHE:-${XDG_CACHE_HOME:-${HOME:-$PWD/.local}/.cache}/fastapi-base}
lock=3rdparty/python/tools.lock
tools=$cache/tools-$(cksum < "$lock" | tr ' ' -)
if [ ! -x "$tools/bin/mypy" ]; then
  python=$(ops/build/bootstrap/python.sh 3.13)
  uv=$(ops/build/bootstrap/uv.sh)
  index=${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2> /dev/null || true)}
  [ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
  export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}
  new=$(mktemp -d "$cache/tools.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  "$uv" venv --quiet --no-config --relocatable --clear --python "$python" "$new"
  "$uv" pip install --quiet --no-config --no-deps --only-binary :all: --require-hashes --python "$new/bin/python" \
    --requirement "$lock"
  [ -e "$tools" ] || mv "$new" "$tools"
fi
exec ops/dev/python.sh -m ops.template.slices.prove "$tools/bin/mypy" "$@"
