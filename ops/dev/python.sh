#!/usr/bin/env bash
# `make up`: an environment of locked packages in .local/venv (made by Pants, anew when its inputs change), then the
# service in the foreground: ops/dev/up.py. Options are passed on; --help lists them.
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { printf 'up: %s\n' "$*" >&2; }

venv=$PWD/.local/venv
id=$(cat 3rdparty/python/app.lock ops/dev/BUILD ops/dev/up.sh | cksum | tr ' ' -)
# Without asking Pants, which takes seconds to say that nothing changed.
if [ "$(cat "$venv/.made-from" 2> /dev/null)" != "$id" ] || ! "$venv/bin/python" -c '' 2> /dev/null; then
  say "making the environment (on the first run this takes a minute or two)"
  ./pants package ops/dev:env
  say "unpacking it into .local/venv"
  mkdir -p .local
  python=$(ops/bootstrap/python.sh 3.13)
  PEX_TOOLS=1 "$python" dist/ops.dev/env.pex venv --force "$venv"
  printf '%s\n' "$id" > "$venv/.made-from"
fi
export PYTHONPATH=$PWD/src:$PWD PATH=$venv/bin:$PATH
exec "$venv/bin/python" -m ops.dev.up "$@"
