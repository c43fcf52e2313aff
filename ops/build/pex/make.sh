#!/usr/bin/env bash
# Usage: make.sh PYTHON OUT: writes the Pex executable that pants.toml pins to OUT, from the wheel pinned below. PYTHON
# is a CPython 3.9 with pip. The output is identical on every machine; anything else is an error.
set -euo pipefail
umask 022
python=$1 out=$2
here=$(cd "$(dirname "$0")" && pwd)
version=2.105.2
# Pex publishes two wheels of a version; this is the one that runs on CPython 3.9.
wheel=pex-$version-py2.py35.py36.py37.py38.py39.py310.py311-none-any.whl
wheel_sha256=5a4d73fbeab30ddf70e360971cb19b9fa80b2a29cfe83e786215fcdd5ef1af9d

expected=$(sed -n "s/^  \"$version|linux_x86_64|\([0-9a-f]*\)|.*/\1/p" "$here/../../../pants.toml")
sum() { "$python" -c 'import hashlib,sys; print(hashlib.sha256(open(sys.argv[1],"rb").read()).hexdigest())' "$1"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'pex==%s --hash=sha256:%s\n' "$version" "$wheel_sha256" > "$work/requirements.txt"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 3.9 \
  --require-hashes --requirement "$work/requirements.txt" --dest "$work" 2> "$work/pip.log" || { cat "$work/pip.log" >&2; exit 1; }
"$python" -m zipfile -e "$work/$wheel" "$work/pex"
(cd "$work" && env -i PATH=/usr/bin:/bin HOME="$work" PYTHONPATH="$work/pex" PYTHONDONTWRITEBYTECODE=1 \
  "$python" -m pex "./$wheel" --no-pypi --intransitive --console-script pex --preamble-file "$here/preamble.py" \
  --no-strip-pex-env --no-compile --no-compress --python-shebang '/usr/bin/env python3' --pex-root "$work/root" --output-file "$work/out.pex" > /dev/null)
got=$(sum "$work/out.pex")
if [ "$got" != "$expected" ]; then
  echo "ops/build/pex/make.sh: the Pex executable has sha256 $got ($(wc -c < "$work/out.pex") bytes), pants.toml says ${expected:-nothing}." >&2
  echo "  After a change of Pex or of preamble.py, write the new hash and size into [pex-cli].known_versions." >&2
  exit 1
fi
mkdir -p "$(dirname "$out")"
mv "$work/out.pex" "$out"
