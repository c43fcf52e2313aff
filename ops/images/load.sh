#!/usr/bin/env bash
# Builds the images for this machine and loads them into Docker or Podman. `make load` calls it.
#   IMAGES="api worker"   only these (default: all)
#   ENGINE=podman         this engine (default: docker if it responds, then podman)
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

ops/images/keys.sh .local/compose.env
case $(uname -m) in aarch64 | arm64) architecture=arm64 suffix=-arm64 ;; *) architecture=amd64 suffix= ;; esac
# shellcheck disable=SC2206  # words on purpose
images=(${IMAGES:-api worker migrate postgres redis python})
targets=("${images[@]/#/ops/images:}")
./pants package "${targets[@]/%/#$architecture}"
for image in "${images[@]}"; do
  "$engine" load --input "dist/$image$suffix.oci.tar"
  "$engine" image inspect "fastapi-base/$image:latest" > /dev/null || {
    say "$engine loaded dist/$image$suffix.oci.tar and does not know it as fastapi-base/$image:latest; name it by '$engine tag'."
    exit 1
  }
done
