#!/usr/bin/env bash
# Alters the code for passwords, tokens and keys in every small way (mutmut) and tells which alterations no unit test notices.
# `make mutants` calls it. Minutes; writes dist/mutants.txt. Exit status 1 when fewer than 85 % are noticed.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
say() { printf 'mutants: %s\n' "$*" >&2; }
cache=${FASTAPI_BASE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fastapi-base}
python=$(ops/bootstrap/python.sh 3.13)

locks=(3rdparty/python/app.lock 3rdparty/python/mutants.lock)
venv=$cache/mutants-$(cat "${locks[@]}" | cksum | tr ' ' -)
if [ ! -e "$venv/.done" ]; then
  say "making its environment"
  "$python" -m venv --clear "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
    --requirement "${locks[0]}" --requirement "${locks[1]}"
  : > "$venv/.done"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/mutants-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/tests/unit"
cp -R src "$work"
cp -R tests/unit/core tests/unit/conftest.py "$work/tests/unit"
cp ops/mutants/setup.cfg "$work"
cd "$work"
"$venv/bin/mutmut" run --max-children "$(getconf _NPROCESSORS_ONLN)" > run.log || {
  tail -c 3000 run.log >&2
  say "mutmut failed (above: the end of its output)"
  exit 1
}
mkdir -p "$root/dist"
"$venv/bin/mutmut" results --all true > results.txt
# Without these, a file of no results would count as a good one.
all=$(grep -c '__mutmut_' results.txt)
noticed=$(grep -cE ': (killed|timeout|caught by type check)$' results.txt) || noticed=0
{
  printf '%s of %s alterations are noticed (%s %%). The others:\n' "$noticed" "$all" "$((noticed * 100 / all))"
  grep '__mutmut_' results.txt | grep -vE ': (killed|timeout|caught by type check)$' | while IFS=': ' read -r name state; do
    printf '\n%s\n' "$state"
    "$venv/bin/mutmut" show "$name" | grep -E '^(---|[-+] )' || true
  done
} > "$root/dist/mutants.txt"
head -n 1 "$root/dist/mutants.txt"
say "they are in dist/mutants.txt"
[ "$((noticed * 100))" -ge "$((all * 85))" ]
