#!/usr/bin/env bash
# Mutates the code for passwords, tokens and keys (mutmut) and reports the mutants that survive the unit tests.
# `make mutants` calls it. Takes minutes; writes dist/mutants.txt. Exit status 1 if fewer than 85 % are killed.
set -euo pipefail
cd "$(dirname "$0")/../../.."
root=$PWD
say() { printf 'mutants: %s\n' "$*" >&2; }
cache=${FASTAPI_BASE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fastapi-base}
python=$(ops/build/bootstrap/python.sh 3.13)

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
# The imports of their conftest.py.
cp tests/calling.py "$work/tests"
cp ops/measure/mutants/setup.cfg "$work"
cd "$work"
"$venv/bin/mutmut" run --max-children "$(getconf _NPROCESSORS_ONLN)" > run.log || {
  tail -c 3000 run.log >&2
  say "mutmut failed (above: the end of its output)"
  exit 1
}
mkdir -p "$root/dist"
"$venv/bin/mutmut" results --all true > results.txt
# Without these, a file without results would count as a success.
all=$(grep -c '__mutmut_' results.txt)
killed=$(grep -cE ': (killed|timeout|caught by type check)$' results.txt) || killed=0
{
  printf '%s of %s mutants are killed (%s %%). The survivors:\n' "$killed" "$all" "$((killed * 100 / all))"
  grep '__mutmut_' results.txt | grep -vE ': (killed|timeout|caught by type check)$' | while IFS=': ' read -r name state; do
    printf '\n%s\n' "$state"
    "$venv/bin/mutmut" show "$name" | grep -E '^(---|[-+] )' || true
  done
} > "$root/dist/mutants.txt"
head -n 1 "$root/dist/mutants.txt"
say "the survivors are in dist/mutants.txt"
[ "$((killed * 100))" -ge "$((all * 85))" ]
