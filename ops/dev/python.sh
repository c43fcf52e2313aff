#!/usr/bin/env bash
# ops/dev/python.sh ARGUMENTS...: the Python of a virtual environment of locked packages in .local/venv (built by Pants,
# rebuilt when its inputs change), with this checkout's code. `make up` and `make migration` run in it.
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { printf 'environment: %s\n' "$*" >&2; }

venv=$PWD/.local/venv
id=$(cat 3rdparty/python/app.lock ops/dev/BUILD ops/dev/python.sh | cksum | tr ' ' -)
# Without Pants, which takes seconds to find out that nothing changed.
if [ "$(cat "$venv/.made-from" 2> /dev/null)" != "$id" ] || ! "$venv/bin/python" -c '' 2> /dev/null; then
  say "building it (takes a minute or two on the first run)"
  ./pants package ops/dev:env
  say "unpacking it into .local/venv"
  mkdir -p .local
  python=$(ops/build/bootstrap/python.sh 3.13)
  PEX_TOOLS=1 "$python" dist/ops.dev/env.pex venv --force "$venv"
  printf '%s\n' "$id" > "$venv/.made-from"
fi
export PYTHONPATH=$PWD/src:$PWD PATH=$venv/bin:$PATH
exec "$venv/bin/python" "$@"
