#!/usr/bin/env bash
# Prints the path of a working CPython: ops/build/bootstrap/python.sh 3.9|3.13
#
# In this order: PANTS_PYTHON (3.9) or PYTHON313 (3.13), PATH, pyenv's versions, uv's managed ones, other usual places,
# else Debian's packages, locked in 3rdparty/debian/python*.lock: fetched and checked by hash, unpacked below
# FASTAPI_BASE_CACHE (no root, nothing installed) and made to run where they lie. Needs no Python itself.
# Progress and errors go to stderr; the path alone to stdout.
set -eu

version=${1:-}
root=$(cd "$(dirname "$0")/../../.." && pwd)
case $version in
  3.9) variable=PANTS_PYTHON chosen=${PANTS_PYTHON:-} ;;
  3.13) variable=PYTHON313 chosen=${PYTHON313:-} ;;
  *)
    printf 'usage: %s 3.9|3.13\n' "$0" >&2
    exit 2
    ;;
esac
lock=$root/3rdparty/debian/python${version/./}.lock
cache=${FASTAPI_BASE_CACHE:-${XDG_CACHE_HOME:-${HOME:-$root/.local}/.cache}/fastapi-base}

say() { printf 'python %s: %s\n' "$version" "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

# Prints the real path of the interpreter when it is what is wanted: it runs (a pyenv shim may not), is a release of
# CPython of this version with the GIL, and can make virtual environments with pip in them (Debian splits that off).
probe() {
  "$1" -I -c '
import ctypes, ensurepip, os, platform, sqlite3, ssl, sys, sysconfig, venv
assert "%d.%d" % sys.version_info[:2] == "'"$version"'", "it is " + platform.python_version()
assert platform.python_implementation() == "CPython" and sys.version_info.releaselevel == "final"
assert not sysconfig.get_config_var("Py_GIL_DISABLED"), "it is a free-threaded build"
print(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))
' 2> "${2:-/dev/null}"
}

found() { # PATH...: prints the first that works and ends the script
  local candidate real
  for candidate; do
    if [ -x "$candidate" ] && [ ! -d "$candidate" ] && real=$(probe "$candidate") && [ -x "$real" ]; then
      printf '%s\n' "$real"
      exit 0
    fi
  done
}

# ---- what the machine has

if [ -n "$chosen" ]; then
  found "$(command -v "$chosen" || printf %s "$chosen")"
  reason=$( (probe "$chosen" /dev/stdout || true) 2>&1 | grep -E '^[A-Za-z]*Error' | tail -n 1 || true)
  fail "$variable is $chosen, which is not a usable CPython $version (with ssl, sqlite3, venv and ensurepip)${reason:+: $reason}"
fi

old_ifs=$IFS
IFS=:
for folder in $PATH; do
  IFS=$old_ifs
  found "$folder/python$version" "$folder/python3" "$folder/python"
done
IFS=$old_ifs

newest_first() { # FOLDER-PREFIX: folders PREFIX.N..., the highest patch release first
  local folder
  for folder in "$1".* "$1"; do
    [ -d "$folder" ] && printf '%s %s\n' "$(printf %s "${folder##*"$version"}" | tr -dc '0-9.' | cut -d. -f2)" "$folder"
  done | sort -rn | cut -d' ' -f2-
}
while IFS= read -r folder; do
  found "$folder/bin/python$version"
done <<EOF
$(newest_first "${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}/versions/$version")
$(newest_first "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-${HOME:-/nonexistent}/.local/share}/uv/python}/cpython-$version")
EOF
found "/opt/homebrew/opt/python@$version/bin/python$version" "/usr/local/opt/python@$version/bin/python$version" \
  "/Library/Frameworks/Python.framework/Versions/$version/bin/python$version" "/usr/local/bin/python$version"

# ---- Debian's packages

advice="install CPython $version (with pyenv, uv or your system's packages), run \`nix develop\`, or set $variable to one"
[ "$(uname -s)" = Linux ] || fail "none was found on this machine: $advice."
case $(uname -m) in
  x86_64) architecture=amd64 triplet=x86_64-linux-gnu ;;
  aarch64) architecture=arm64 triplet=aarch64-linux-gnu ;;
  *) fail "none was found, and there are no locked packages for $(uname -m): $advice." ;;
esac
if ! command -v dpkg-deb > /dev/null && ! { command -v ar && command -v tar && command -v xz; } > /dev/null; then
  fail "none was found, and neither dpkg-deb nor ar, tar and xz are here to unpack one: $advice."
fi

lines=$(grep "^$architecture " "$lock") || fail "$lock holds nothing for $architecture; run \`make lock\`."
# The host's glibc serves when it is at least as new as the one that the packages were built with (then every program
# and library of the host fits too); else the packages' own glibc comes along, loader and all.
needed=$(printf '%s\n' "$lines" | sed -n 's/^[^ ]* libc6 \([0-9]*\.[0-9]*\).*/\1/p')
host=$(getconf GNU_LIBC_VERSION 2> /dev/null | sed -n 's/^glibc \([0-9]*\.[0-9]*\).*/\1/p' || true)
libc=own
if [ -n "$host" ] && [ "$(printf '%s\n%s\n' "$needed" "$host" | sort -t. -k1,1n -k2,2n | tail -n 1)" = "$host" ]; then
  libc=host
fi
id=$({ printf '%s\n' "$lines"; cat "$0"; } | sha256sum | cut -c1-16)
home=$cache/python/$version-$id-$libc
python=$home/usr/bin/python$version
if [ -e "$home/.works" ]; then
  if (cd "$home" && sha256sum --check --status .works) 2> /dev/null; then
    found "$python"
  fi
  say "the unpacked one in $home is damaged; making it anew"
  rm -rf "$home"
fi

mirrors=${DEBIAN_MIRROR:-$(cat "$cache/debian-mirror" 2> /dev/null || true)}
if [ -z "$mirrors" ]; then
  debian='(bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable)'
  mirrors=$({
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2> /dev/null |
      awk -v suite="^$debian" '$1 == "deb" { i = 2; if ($2 ~ /^\[/) { while ($i !~ /\]$/ && i < NF) i++; i++ }
        if ($(i + 1) ~ suite) print $i }'
    for file in /etc/apt/sources.list.d/*.sources; do
      [ -r "$file" ] && awk -v suite="$debian" 'BEGIN { RS = "" } {
        uris = ""; deb = 0; ours = 0; off = 0; n = split($0, line, "\n")
        for (i = 1; i <= n; i++) {
          if (line[i] ~ /^#/) continue
          if (match(line[i], /^[A-Za-z-]+:/)) { key = tolower(substr(line[i], 1, RLENGTH - 1)); sub(/^[^:]*:/, "", line[i]) }
          if (key == "uris") uris = uris " " line[i]
          if (key == "types" && line[i] ~ /(^| )deb( |$)/) deb = 1
          if (key == "suites" && line[i] ~ suite) ours = 1
          if (key == "enabled" && line[i] ~ /no/) off = 1
        }
        if (deb && ours && !off) print uris }' "$file"
    done
  } | tr ' ' '\n' | grep -E '^(https?|file):' | sed 's:/*$::' | awk '!seen[$0]++' | tr '\n' ' ')
fi
# Security updates lie in an archive beside the main one (a snapshot's address ends in its time).
mirrors="$mirrors $(printf '%s\n' $mirrors | sed -nE 's:/debian(/[0-9]{8}T[0-9]{6}Z)?/?$:/debian-security\1:p' | tr '\n' ' ')"
[ -n "${mirrors// /}" ] || fail "none was found, and no Debian mirror is known to fetch one from. Set DEBIAN_MIRROR to the" \
  "address of one, or $advice."

download() { # URL FILE
  case $1 in file:*) cp "${1#file:}" "$2" 2> /dev/null && return 0 || return 1 ;; esac
  if [ -x /usr/lib/apt/apt-helper ]; then
    /usr/lib/apt/apt-helper -qq -o APT::Sandbox::User=root -o Acquire::Retries=2 download-file "$1" "$2" > /dev/null 2>&1
  elif command -v curl > /dev/null; then
    curl -fsSL --retry 2 -o "$2" "$1" 2> /dev/null
  elif command -v wget > /dev/null; then
    wget -q -t 3 -O "$2" "$1"
  else
    fail "none of apt, curl and wget is here to download it: $advice."
  fi
}
unpack() { # DEB FOLDER
  if command -v dpkg-deb > /dev/null; then
    dpkg-deb --extract "$1" "$2"
  else
    ar p "$1" data.tar.xz | tar -xJ -C "$2"
  fi
}

mkdir -p "$cache/python" "$cache/debian"
work=$(mktemp -d "$cache/python/.work-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/root" "$work/glibc"
total=$(printf '%s\n' "$lines" | awk '{ sum += $4 } END { printf "%d packages, %d MB", NR, sum / 1e6 }')
say "not on this machine: fetching Debian's ($total) into $home"

while read -r _ package package_version size sha256 path; do
  deb=$cache/debian/$sha256.deb
  if [ -e "$deb" ] && [ "$(sha256sum < "$deb" | cut -d' ' -f1)" != "$sha256" ]; then
    say "the cached file of the package $package is damaged; fetching it again"
    rm -f "$deb"
  fi
  if [ ! -e "$deb" ]; then
    rm -f "$work/deb"
    got=
    for mirror in $mirrors; do
      rm -f "$work/deb"
      download "$mirror/$path" "$work/deb" || continue
      got=$(sha256sum "$work/deb" | cut -d' ' -f1)
      [ "$got" != "$sha256" ] || break
    done
    [ "$got" = "$sha256" ] || fail "no mirror gave the package $package $package_version as locked in" \
      "3rdparty/debian/${lock##*/} (${got:+its hash differs; }tried: $(printf %s "$mirrors" | sed -E 's#://[^/@ ]*@#://#g')). Refresh the locks with \`make lock\`," \
      "set DEBIAN_MIRROR to a snapshot that still has it, or $advice."
    [ "$(wc -c < "$work/deb")" -eq "$size" ] || fail "$package has another size than its lock says."
    mv "$work/deb" "$deb"
  fi
  case $package in
    # Apart, so that the host's serves where it can.
    libc6) unpack "$deb" "$work/glibc" ;;
    *) unpack "$deb" "$work/root" ;;
  esac
done <<EOF
$lines
EOF

say "making it run in place"
# patchelf runs through the loader of its own suite.
loader=$(cd "$work/glibc" && find . -name 'ld-linux-*.so.*' -type f -o -name 'ld-2*.so' -type f | head -n 1)
loader=${loader#./}
[ -n "$loader" ] || fail "the locked libc6 holds no loader."
"$work/glibc/$loader" --library-path \
  "$work/glibc/lib/$triplet:$work/glibc/usr/lib/$triplet:$work/root/lib/$triplet:$work/root/usr/lib/$triplet" \
  "$work/root/usr/bin/patchelf" --force-rpath --set-rpath "$home/usr/lib/$triplet:$home/lib/$triplet" \
  "$work/root/usr/bin/python$version"
if [ "$libc" = own ]; then
  cp -a "$work/glibc/." "$work/root/"
  "$work/root/$loader" --library-path "$work/root/lib/$triplet:$work/root/usr/lib/$triplet" \
    "$work/root/usr/bin/patchelf" --set-interpreter "$home/$loader" "$work/root/usr/bin/python$version"
fi
library=$work/root/usr/lib/python$version
# Debian keeps the wheels of pip at a fixed place.
for file in "$library/ensurepip/__init__.py" "$library"/_sysconfigdata_*.py; do
  [ -L "$file" ] || sed -i "s:/usr/share/python-wheels:$home/usr/share/python-wheels:g" "$file"
done
mkdir -p "$work/root/etc/ssl/certs"
cat "$work/root/usr/share/ca-certificates/mozilla/"*.crt > "$work/root/etc/ssl/certs/ca-certificates.crt"
rm -f "$library/sitecustomize.py"
cat > "$library/sitecustomize.py" <<EOF
"""Certificates for a machine that keeps them elsewhere than Debian does, or has none."""
import os
for _file in (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "$home/etc/ssl/certs/ca-certificates.crt",
):
    if os.path.exists(_file):
        for _name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"):
            os.environ.setdefault(_name, _file)
        break
EOF
# Another run may have been quicker; then its folder stays.
mv -T "$work/root" "$home" 2> /dev/null || [ -x "$python" ] || fail "$home is in the way; remove it."
if ! real=$(probe "$python" "$work/error"); then
  tail -n 3 "$work/error" >&2
  rm -rf "$home"
  fail "Debian's build does not run on this machine (see above): $advice."
fi
# Written last, so it says that all is there; compared before each use. Bytecode is made later, and by the interpreter.
(cd "$home" && find . -type f ! -name '*.pyc' -exec sha256sum {} + > "$work/sums" && mv "$work/sums" .works)
printf '%s\n' "$real"
