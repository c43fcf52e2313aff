#!/usr/bin/env bash
# ops/dev/venv.sh: creates .venv, a virtual environment with the locked packages of the service and its tests, in which
# this checkout's code is importable. It does nothing if the locks have not changed, and replaces .venv as a whole.
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { printf 'venv: %s\n' "$*" >&2; }

locks=(3rdparty/python/app.lock 3rdparty/python/test.lock)
id=$(cat "${locks[@]}" ops/dev/venv.sh | cksum | tr ' ' -)
current() { [ "$(cat .venv/.made-from 2> /dev/null)" = "$id" ] && .venv/bin/python -c '' 2> /dev/null; }
current && exit

mkdir -p .local
python=$(ops/build/bootstrap/python.sh 3.13)
# The lock belongs to the open file, so it stays with this shell when Python ends; macOS has no flock command.
exec 9> .local/venv.lock
"$python" -c '
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("venv: waiting for another run, which creates .venv", file=sys.stderr, flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
'
# Another run may have created it meanwhile.
current && exit
if [ -e .venv ] && [ ! -e .venv/.made-from ]; then
  say ".venv is not from \`make venv\`: remove or rename it first"
  exit 1
fi

say "creating .venv from the locks"
uv=$(ops/build/bootstrap/uv.sh)
index=${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2> /dev/null || true)}
[ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
# As pip: the authorities of the system.
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}
export UV_CACHE_DIR=${UV_CACHE_DIR:-${FASTAPI_BASE_CACHE:-${XDG_CACHE_HOME:-${HOME:-$PWD/.local}/.cache}/fastapi-base}/uv}
new=.local/venv.new old=.local/venv.old
rm -rf "$new"
"$uv" venv --quiet --no-config --relocatable --python "$python" "$new"
# Copies, so that an edit of a library while debugging does not change the cache.
"$uv" pip install --quiet --no-config --link-mode copy --no-deps --only-binary :all: --require-hashes \
  --python "$new/bin/python" "${locks[@]/#/--requirement=}"
# Relative, so that the checkout can be moved.
printf '%s\n' ../../../../src ../../../.. > "$new/lib/python3.13/site-packages/checkout.pth"
printf '%s\n' "$id" > "$new/.made-from"
rm -rf "$old"
[ ! -e .venv ] || mv .venv "$old"
mv "$new" .venv
rm -rf "$old"
