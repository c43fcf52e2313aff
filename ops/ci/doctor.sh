#!/usr/bin/env bash
# `make doctor`: reports missing prerequisites and how to install them. Installs nothing, needs no network.
# The exit status is 1 if something is missing that `make up` or `make test` requires.
set -uo pipefail
cd "$(dirname "$0")/../.."
missing=0
ok() { printf '  ok       %-22s %s\n' "$1" "$2"; }
note() { printf '  without  %-22s %s\n' "$1" "$2"; }
bad() {
  printf '  MISSING  %-22s %s\n' "$1" "$2"
  missing=1
}
get() { # PACKAGE: how to install it here
  if command -v apt-get > /dev/null; then echo "apt-get install $1"
  elif command -v dnf > /dev/null; then echo "dnf install $1"
  elif command -v brew > /dev/null; then echo "brew install $1"
  else echo "install $1"; fi
}

for program in git make tar; do
  if found=$(command -v "$program"); then ok "$program" "$found"; else bad "$program" "$(get "$program")"; fi
done
if [ -x /usr/lib/apt/apt-helper ] || command -v curl > /dev/null || command -v wget > /dev/null; then
  ok "downloads" "by apt, curl or wget"
else
  bad "downloads" "none of apt, curl and wget is installed: $(get curl)"
fi
command -v curl > /dev/null && ok curl "$(command -v curl)" ||
  note curl "required by the test of the README's tour: $(get curl)"

unpack=
if command -v dpkg-deb > /dev/null || { command -v ar && command -v xz; } > /dev/null; then unpack=yes; fi
for pair in 3.13:PYTHON313 3.9:PANTS_PYTHON; do
  version=${pair%:*}
  # Without a mirror python.sh only searches; the lines below report what would be downloaded.
  if found=$(DEBIAN_MIRROR=file:/nonexistent ops/build/bootstrap/python.sh "$version" 2> /dev/null); then
    ok "CPython $version" "$found"
  elif [ "$(uname -s)" = Linux ] && [ -n "$unpack" ]; then
    note "CPython $version" "Debian's is unpacked on the first run (or set ${pair#*:})"
  else
    bad "CPython $version" "install it with pyenv, uv or your package manager, run \`nix develop\`, or set ${pair#*:}"
  fi
done

if [ "$(uname -s)" != Linux ] && ! command -v redis-server > /dev/null && ! command -v valkey-server > /dev/null; then
  bad "Redis" "Debian's package does not run here: $(get redis)"
fi
if command -v docker > /dev/null && docker info > /dev/null 2>&1; then
  ok "container engine" "docker"
elif command -v podman > /dev/null && podman info > /dev/null 2>&1; then
  ok "container engine" "podman"
elif [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  note "container engine" "\`make test\` installs docker.io and starts an engine for its run"
else
  note "container engine" "tests use embedded servers and skip images: install Docker or Podman"
fi
command -v nix > /dev/null && ok nix "$(command -v nix)" || note nix "required only by \`nix develop\`"
command -v pre-commit > /dev/null && ok pre-commit "$(command -v pre-commit)" ||
  note pre-commit "runs hooks before a commit: \`uv tool install pre-commit && pre-commit install\`"

cache=${FASTAPI_BASE_CACHE:-${XDG_CACHE_HOME:-${HOME:-.local}/.cache}/fastapi-base}
while [ ! -d "$cache" ]; do cache=$(dirname "$cache"); done
free=$(df -Pk "$cache" | awk 'NR == 2 { print int($4 / 1048576) }')
if [ "$free" -ge 15 ]; then ok "disk" "$free GB free at $cache"; else bad "disk" "$free GB free at $cache, builds and tests use up to 15"; fi

[ "$missing" = 0 ] && echo "Nothing is missing: \`make up\` and \`make test\` do the rest."
exit "$missing"
