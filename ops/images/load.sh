#!/usr/bin/env bash
# Builds the images for this machine and loads them into Docker or Podman. `make load` calls it.
#   IMAGES="api worker"   some of them (else: all)
#   ENGINE=podman         that engine (else: docker where it answers, then podman)
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { printf 'load: %s\n' "$*" >&2; }

engine=${ENGINE:-}
if [ -z "$engine" ]; then
  for candidate in docker podman; do
    if "$candidate" info > /dev/null 2>&1; then
      engine=$candidate
      break
    fi
  done
fi
if [ -z "$engine" ] || ! "$engine" info > /dev/null 2>&1; then
  say "${engine:-no container engine} does not answer: start Docker or Podman, or set DOCKER_HOST to its socket."
  exit 1
fi

case $(uname -m) in aarch64 | arm64) suffix=-arm64 ;; *) suffix= ;; esac
targets=()
for image in ${IMAGES:-api worker migrate postgres redis python}; do targets+=("ops/images:$image$suffix"); done
./pants package "${targets[@]}"
for target in "${targets[@]}"; do
  "$engine" load --input "dist/${target#*:}.oci.tar"
done
