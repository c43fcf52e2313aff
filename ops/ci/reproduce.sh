#!/usr/bin/env bash
# Builds the binaries and images twice, under conditions as different as one machine allows, and compares them and their
# documents byte for byte. `make reproduce` calls it.
#   ARGS=...          what to build (default: ops/images::, which includes the binaries)
#   AGAINST=dist      compare with an earlier build in this folder, instead of a first build
#   KEEP_BUILDS=...   a folder to build in and keep (default: a temporary one, removed at the end)
# The second build has another folder, empty caches, umask, time zone, locale, hash seed, clock (by libfaketime, for the
# processes that build), user (if this one is root) and interpreter (the locked Debian one instead of the machine's).
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
say() { printf 'reproduce: %s\n' "$*" >&2; }
targets=${ARGS:-ops/images::}

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

# The network settings of this machine are kept; the rest of the environment is new.
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

python=$(ops/build/bootstrap/python.sh 3.13)
if [ -n "${AGAINST:-}" ]; then
  before=$AGAINST
  say "what was built before: $before"
else
  before=$first/dist
  say "first build: $first"
  checkout "$first"
  build "$first" 022 -- PATH="$PATH" PYENV_ROOT="${PYENV_ROOT:-$HOME/.pyenv}" LANG=C.UTF-8 TZ=UTC PYTHONHASHSEED=1
fi

varied=(umask "time zone" locale "hash seed" caches folder interpreter clock)
prefix=()
if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
  prefix=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  varied+=(user)
fi
PYTHONPATH=. "$python" -m ops.ci.unpacked 3rdparty/debian/faketime.lock "$work/faketime"
chmod -R a+rX "$work/faketime"
library=$(echo "$work"/faketime/usr/lib/*/faketime/libfaketime.so.1)
# Two days, so that certificates are still valid; Pants' own timers need the real clock.
clock="'LD_PRELOAD=$library','FAKETIME=-2d','FAKETIME_DONT_FAKE_MONOTONIC=1'"
there=$(env LD_PRELOAD="$library" FAKETIME=-2d "$python" -c 'import time; print(int(time.time()))')
if [ "$((there + 86400))" -gt "$(date +%s)" ]; then
  say "libfaketime has no effect on this machine, so the clocks would be the same"
  exit 1
fi
say "second build: $second (other ${varied[*]})"
checkout "$second"
build "$second" 077 "${prefix[@]}" -- PATH=/usr/bin:/bin LANG=C LC_ALL=C TZ=Pacific/Kiritimati PYTHONHASHSEED=2 \
  PANTS_SUBPROCESS_ENVIRONMENT_ENV_VARS="+[$clock]"

sum() { sha256sum "$1" 2> /dev/null | cut -d' ' -f1; }
status=0
files=$(cd "$second/dist" && find . -type f \( -name '*.pex' -o -name '*.tar' -o -name '*.cdx.json' -o -name '*.provenance.json' \) \
  -printf '%P\n' | sort)
[ -n "$files" ] || { say "nothing was built" && exit 1; }
printf '\n%-44s %-64s %s\n' artefact sha256 same
while IFS= read -r file; do
  one=$(sum "$before/$file") two=$(sum "$second/dist/$file")
  if [ "$one" = "$two" ]; then
    printf '%-44s %s yes\n' "$file" "$one"
  else
    status=1
    printf '%-44s %s NO (%s)\n' "$file" "${one:-missing}" "$two"
    [ -z "$one" ] || ops/ci/diffoscope.sh --max-text-report-size 20000 "$before/$file" "$second/dist/$file" || true
  fi
done <<< "$files"
printf '\n%-44s %s\n' image digest
while IFS= read -r file; do
  case $file in *.oci.tar) printf '%-44s %s\n' "$file" \
    "$(tar -xOf "$second/dist/$file" index.json | grep -o 'sha256:[0-9a-f]*')" ;; esac
done <<< "$files"
[ "$status" = 0 ] && say "every artefact is the same, bit for bit" || say "artefacts differ"
exit "$status"
