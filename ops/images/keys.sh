#!/usr/bin/env bash
# Generates the signing and encryption keys of docker-compose.yml's services once, in the given file: keys.sh FILE.
# `make load` calls it. In a container the API listens on all addresses, where the development keys are refused.
set -euo pipefail
[ -s "$1" ] && exit 0
key() { head -c 36 /dev/urandom | base64; }
umask 077
mkdir -p "$(dirname "$1")"
printf 'AUTH_JWT_SECRET=%s\nAUTH_ENCRYPTION_KEY=%s\n' "$(key)" "$(key)" > "$1.new"
mv "$1.new" "$1"
