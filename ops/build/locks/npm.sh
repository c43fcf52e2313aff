#!/usr/bin/env bash
# Refreshes the locks of 3rdparty/npm with the locked npm, in this repository or below FOLDER: npm.sh [FOLDER]
#   KEEP=1   keep each pin that still satisfies its requirements
set -euo pipefail
within=$(realpath "${1:-.}")
cd "$(dirname "$0")/../../.."
[ "$#" -gt 0 ] || within=$PWD
python=$(ops/build/bootstrap/python.sh 3.13)
node=$(ops/build/bootstrap/npm.sh redocly)
export PATH=$node:$PATH NODE_USE_SYSTEM_CA=1
npm=$(dirname "$(realpath "$node/node")")/../lib/node_modules/npm/bin/npm-cli.js
for folder in "$within"/3rdparty/npm/*/; do
  printf 'lock: resolving %s\n' "${folder#"$within"/}package-lock.json" >&2
  work=$(mktemp -d)
  cp "$folder/package.json" "$work"
  [ -z "${KEEP:-}" ] || cp "$folder/package-lock.json" "$work" 2> /dev/null || true
  (cd "$work" && node "$npm" install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit \
    --no-fund --no-update-notifier --loglevel=error > /dev/null)
  # Sponsors' addresses, which nothing needs.
  "$python" - "$work/package-lock.json" "$folder/package-lock.json" << 'STRIP'
import json, pathlib, sys
read, write = map(pathlib.Path, sys.argv[1:])
lock = json.loads(read.read_text())
for package in lock["packages"].values():
    package.pop("funding", None)
    # Names of repositories beside the registry would be here.
    if "resolved" in package:
        sys.exit(f"{write}: {package} comes from an address; a lock names packages, versions and hashes only")
write.write_text(json.dumps(lock, indent=2) + "\n")
STRIP
  rm -rf "$work"
done
