#!/usr/bin/env bash
# Refreshes all locks: Python packages (uv), npm packages (npm), then Debian packages (apt's own solver). `make lock` calls it.
#   KEEP=1   keep each pin that still satisfies its requirements, and add or drop only what changed
# A lock holds names, versions and hashes, and no URL: it works with any mirror (docs/decisions/0002).
set -euo pipefail
cd "$(dirname "$0")/../../.."
say() { printf 'lock: %s\n' "$*" >&2; }
python=$(ops/build/bootstrap/python.sh 3.13)
uv=$(ops/build/bootstrap/uv.sh)

compile() { # REQUIREMENTS LOCK PYTHON [CONSTRAINTS]
  local target=$2 new=$2.new
  say "$target"
  if [ -n "${KEEP:-}" ] && [ -e "$target" ]; then cp "$target" "$new"; else rm -f "$new"; fi
  "$uv" pip compile --quiet --no-config --no-python-downloads --python "$python" --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
    --python-version "$3" ${4:+--constraints "$4"} "$1" --output-file "$new"
  if grep -nE '(https?|file)://' "$new" >&2; then
    say "$target would hold an address (above); a lock names packages, versions and hashes only. Nothing was changed."
    rm -f "$new"
    exit 1
  fi
  mv "$new" "$target"
}
trap 'rm -f 3rdparty/*/*.lock.new 3rdparty/python/pylock.new.toml' EXIT
compile 3rdparty/python/app.txt 3rdparty/python/app.lock 3.13
# The files of its wheels, so that bills of materials can name the one that was installed.
"$uv" pip compile --quiet --no-config --no-python-downloads --python "$python" --universal --no-deps --python-version 3.13 \
  --format pylock.toml 3rdparty/python/app.lock --output-file 3rdparty/python/pylock.new.toml
PYTHONPATH=. "$python" -m ops.build.locks.wheels 3rdparty/python/pylock.new.toml < 3rdparty/python/app.lock \
  > 3rdparty/python/app.wheels.lock.new
mv 3rdparty/python/app.wheels.lock.new 3rdparty/python/app.wheels
compile 3rdparty/python/test.txt 3rdparty/python/test.lock 3.13 3rdparty/python/app.lock
compile 3rdparty/python/tools.txt 3rdparty/python/tools.lock 3.13
compile 3rdparty/python/docs.txt 3rdparty/python/docs.lock 3.13
compile 3rdparty/python/cache.txt 3rdparty/python/cache.lock 3.13
compile 3rdparty/python/mutants.txt 3rdparty/python/mutants.lock 3.13 3rdparty/python/app.lock
compile 3rdparty/python/node.txt 3rdparty/python/node.lock 3.13
compile 3rdparty/pants/requirements.txt 3rdparty/pants/pants.lock 3.9
compile 3rdparty/pants/coverage.txt 3rdparty/pants/coverage.lock 3.9

ops/build/locks/npm.sh

say "3rdparty/debian/*.lock"
PYTHONPATH=. "$python" -m ops.build.debian.resolve 3rdparty/debian/*.toml
