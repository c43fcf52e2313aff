#!/usr/bin/env bash
# ops/dev/python.sh ARGUMENTS...: the Python of .venv, which is created first. `make up` and `make migration` run in it.
set -euo pipefail
cd "$(dirname "$0")/../.."
ops/dev/venv.sh
export PATH=$PWD/.venv/bin:$PATH
exec .venv/bin/python "$@"
