#!/usr/bin/env bash
# Builds the binaries and images twice, as differently as one machine can, and compares them byte for byte.
# `make reproduce` calls it.
#   ARGS=...          what to build (else: ops/binaries:: and ops/images::, as far as they exist)
#   KEEP_BUILDS=...   a folder to build in and keep (else: a temporary one, removed at the end)
# The second build has another folder, empty caches, umask, time zone, locale, hash seed, clock (where faketime is
# installed), user (where this one is root) and interpreter (the locked Debian one in place of the machine's).
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
say() { printf 'reproduce: %s\n' "$*" >&2; }
targets=${ARGS:-ops/binaries:: $([ -d ops/images ] && echo ops/images::)}

if [ -n "${KEEP_BUILDS:-}" ]; then
  work=$KEEP_BUILDS
  mkdir -p "$work"
else
  work=$(mktemp -d "${TMPDIR:-/tmp}/reproduce-XXXXXX")
  trap 'rm -rf "$work"' EXIT
fi
chmod 755 "$work"
first=$work/first/fastapi-base second=$work/second/a-longer-name/checkout

checkout() { # FOLDER: the files of this checkout, changes included
  mkdir -p "$1"
  git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ -e "$file" ] && printf '%s\0' "$file"
  done | tar --create --null --files-from=- | tar --extract --directory "$1"
}

# The network settings of this machine are kept; everything else of the environment is new.
network=()
while IFS= read -r name; do network+=("$name=${!name}"); done < <(compgen -e | grep -E '^(https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY|SSL_CERT_FILE|SSL_CERT_DIR|PIP_[A-Z_]*|DEBIAN_MIRROR)$')

build() { # FOLDER UMASK COMMAND-PREFIX... -- SETTINGS...
  local folder=$1 mask=$2 prefix=() home
  shift 2
  while [ "$1" != -- ]; do
    prefix+=("$1")
    shift
  done
  shift
  home=$(dirname "$folder")/home
  mkdir -p "$home"
  if [ "${#prefix[@]}" -gt 0 ] && [ "${prefix[0]}" = setpriv ]; then chown -R 65534:65534 "$(dirname "$folder")"; fi
  # shellcheck disable=SC2086  # targets are words
  (cd "$folder" && umask "$mask" && env -i "${network[@]}" HOME="$home" "$@" "${prefix[@]}" \
    ./pants --no-pantsd --no-dynamic-ui package $targets) > "$(dirname "$folder")/build.log" 2>&1 || {
    tail -n 30 "$(dirname "$folder")/build.log" >&2
    say "the build in $folder failed (above: the end of its output)"
    exit 1
  }
}

say "first build: $first"
checkout "$first"
build "$first" 022 -- PATH="$PATH" PYENV_ROOT="${PYENV_ROOT:-$HOME/.pyenv}" LANG=C.UTF-8 TZ=UTC PYTHONHASHSEED=1

varied=(umask "time zone" locale "hash seed" caches folder interpreter)
prefix=()
if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
  prefix=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  varied+=(user)
fi
if command -v faketime > /dev/null; then
  prefix+=(faketime -f "-2d")
  varied+=(clock)
fi
say "second build: $second (other ${varied[*]})"
checkout "$second"
build "$second" 077 "${prefix[@]}" -- PATH=/usr/bin:/bin LANG=C LC_ALL=C TZ=Pacific/Kiritimati PYTHONHASHSEED=2

status=0
printf '\n%-44s %-64s %s\n' artefact sha256 same
while IFS= read -r file; do
  one=$(sha256sum "$first/dist/$file" | cut -d' ' -f1)
  two=$(sha256sum "$second/dist/$file" 2> /dev/null | cut -d' ' -f1)
  if [ "$one" = "$two" ]; then
    printf '%-44s %s yes\n' "$file" "$one"
  else
    status=1
    printf '%-44s %s NO (%s)\n' "$file" "$one" "${two:-missing}"
    if command -v diffoscope > /dev/null; then
      diffoscope --max-report-size 20000 "$first/dist/$file" "$second/dist/$file" || true
    else
      say "install diffoscope to see where $file differs"
    fi
  fi
done < <(cd "$first/dist" && find . -type f \( -name '*.pex' -o -name '*.tar' \) -printf '%P\n' | sort)
[ "$status" = 0 ] && say "every artefact is the same, bit for bit" || say "artefacts differ"
exit "$status"
