#!/usr/bin/env bash
# Prints the path of uv: the version and hash of 3rdparty/python/tools.lock, installed by pip below
# FASTAPI_BASE_CACHE.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
cache=${FASTAPI_BASE_CACHE:-${XDG_CACHE_HOME:-${HOME:-$root/.local}/.cache}/fastapi-base}

lines=$(awk '/^uv==/ { on = 1 } on { print } on && !/\\$/ { exit }' "$root/3rdparty/python/tools.lock")
uv=$cache/uv-$(printf %s "$lines" | cksum | tr ' ' -)
if [ ! -x "$uv" ]; then
  python=$("$root/ops/build/bootstrap/python.sh" 3.13)
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/uv.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  printf '%s\n' "$lines" > "$work/requirements.txt"
  "$python" -m venv "$work/venv"
  "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
    --requirement "$work/requirements.txt"
  mv "$work/venv/bin/uv" "$uv"
fi
printf '%s\n' "$uv"
