#!/usr/bin/env bash
# Runs all tests, with a container engine where one is available. `make test` calls it.
#   ARGS=...   what to test, and further options for Pants (default: ::)
#   COVERAGE=1 measure the coverage of src and of the Pants plugins, and fail below the thresholds
#   CI=true    fail if there is no engine
# Engine: the one of DOCKER_HOST or the usual socket; otherwise, as root on Debian, docker.io is installed and a private
# dockerd started for the run (other runs wait for its end); otherwise tests use embedded servers, and the tests that
# could not run are named at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=${FASTAPI_BASE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fastapi-base}
mkdir -p "$cache"
say() { printf 'test: %s\n' "$*" >&2; }
reason=

python=$(ops/build/bootstrap/python.sh 3.13)
usable() { # SOCKET: can load images; else says why not in $reason
  reason=$("$python" ops/ci/engine.py "$1")
}

find_engine() {
  local socket
  if [ -n "${DOCKER_HOST:-}" ]; then
    case $DOCKER_HOST in
      unix://*) usable "${DOCKER_HOST#unix://}" ;;
      *) return 0 ;; # elsewhere: the tests will say
    esac
    return
  fi
  for socket in /var/run/docker.sock "${XDG_RUNTIME_DIR:-/nonexistent}/docker.sock" \
    "${XDG_RUNTIME_DIR:-/nonexistent}/podman/podman.sock" "$HOME/.docker/run/docker.sock"; do
    if [ -S "$socket" ] && usable "$socket"; then
      [ "$socket" = /var/run/docker.sock ] || export DOCKER_HOST=unix://$socket
      return
    fi
  done
  reason=${reason:-no container engine answers}
  return 1
}

install() { # PACKAGE...: as root on Debian; else says why not in $reason
  if ! command -v apt-get > /dev/null || [ ! -e /etc/debian_version ] || [ "$(id -u)" != 0 ]; then
    reason="$1 is not installed, and only root on a Debian can install it from here"
    return 1
  fi
  say "installing Debian's $* (output: $cache/install.log)"
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"; } \
    > "$cache/install.log" 2>&1; then
    reason="$1 could not be installed (see $cache/install.log)"
    return 1
  fi
}

# A killed run leaves its containers' network namespaces, and with them their addresses on the bridge. The next engine
# assigns the same addresses, and some of its containers become unreachable.
sweep() { # RUN: the folder of an engine that is no more
  local namespace inode process here
  here=$(readlink /proc/self/ns/net)
  for namespace in "$1"/exec/netns/*; do
    [ -e "$namespace" ] || continue
    inode="net:[$(stat -c %i "$namespace")]"
    for process in /proc/[0-9]*; do
      if [ "$inode" != "$here" ] && [ "$(readlink "$process/ns/net")" = "$inode" ]; then
        kill -KILL "${process#/proc/}" 2> /dev/null || true
      fi
    done
    umount "$namespace" 2> /dev/null || true
    rm -f "$namespace"
  done
}

left_over() { # RUN: stop the engine of a run that was killed
  local pid waited=0
  pid=$(cat "$1/dockerd.pid" 2> /dev/null) || return 0
  while [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = dockerd ]; do
    if [ "$waited" = 0 ]; then
      say "stopping the engine that a killed run left behind (process $pid)"
      kill "$pid" 2> /dev/null || true
    elif [ "$waited" = 60 ]; then
      kill -KILL "$pid" 2> /dev/null || true
    fi
    waited=$((waited + 1))
    sleep 0.5
  done
}

engine_pid=
start_engine() {
  local run=/run/fastapi-base-docker waited=0
  if [ "$(id -u)" != 0 ]; then
    reason="no container engine answers, and only root can start one"
    return 1
  fi
  command -v dockerd > /dev/null || install docker.io iptables || return 1
  mkdir -p "$run"
  # One engine at a time: all would assign addresses of the same bridge. The holder of file 8 may start one.
  exec 8> "$run/lock"
  flock --nonblock 8 || {
    say "another run has its engine, and this one waits for its end"
    flock 8
  }
  left_over "$run"
  sweep "$run"
  say "starting dockerd for this run (its output goes to $cache/dockerd.log)"
  dockerd --host "unix://$run/docker.sock" --data-root "$cache/docker" --exec-root "$run/exec" --pidfile "$run/dockerd.pid" \
    > "$cache/dockerd.log" 2>&1 8>&- &
  engine_pid=$!
  until "$python" ops/ci/engine.py "$run/docker.sock" ping > /dev/null; do
    waited=$((waited + 1))
    if ! kill -0 "$engine_pid" 2> /dev/null || [ "$waited" -gt 120 ]; then
      stop_engine
      reason="dockerd did not start: $(tail -n 1 "$cache/dockerd.log" | cut -c1-300) (see $cache/dockerd.log)"
      return 1
    fi
    sleep 0.5
  done
  if ! usable "$run/docker.sock"; then
    stop_engine
    return 1
  fi
  export DOCKER_HOST=unix://$run/docker.sock
}
stop_engine() {
  [ -n "$engine_pid" ] || return 0
  kill "$engine_pid" 2> /dev/null || true
  wait "$engine_pid" 2> /dev/null || true
  engine_pid=
}

# The plugins run inside Pants: tests/ops/build/plugins starts it with this folder on its path, which measures there.
measured=
measure_plugins() {
  local lock=3rdparty/pants/coverage.lock
  coverage=$cache/coverage-$(cksum < "$lock" | tr ' ' -)
  if [ ! -e "$coverage/.done" ]; then
    say "installing what measures the plugins of Pants, from $lock"
    "$(ops/build/bootstrap/python.sh 3.9)" -m venv --clear "$coverage"
    "$coverage/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes --requirement "$lock"
    : > "$coverage/.done"
  fi
  # A different name each time, so that no result of these tests comes from a cache.
  measured=$(mktemp -d "${TMPDIR:-/tmp}/coverage-XXXXXX")
  ln -s "$PWD/ops/build/coverage/sitecustomize.py" "$coverage"/lib/python3.9/site-packages/slipcover "$measured"
  export PLUGINS_COVERAGE=$measured
}

trap 'stop_engine; rm -rf ${measured:+"$measured"}' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The README's tour is executed as it stands, with curl.
command -v curl > /dev/null || install curl || {
  say "$reason; the test of the README's tour needs it"
  exit 1
}

# shellcheck disable=SC2206  # words on purpose
targets=(${ARGS:-::})
filter=()
missed=
# They build repeatedly, in empty caches or worktrees, or run the tests of generated code; nightly.yml runs them.
later=
if [ "${ARGS:-::}" = :: ]; then
  filter=(--tag=-cache,rebuild,nightly)
  later="\`make test-cache\`, \`make test-verify\`, \`make test-nightly\`"
fi
if find_engine || start_engine; then
  say "integration tests use containers (${DOCKER_HOST:-/var/run/docker.sock})"
  export TEST_SERVERS=containers
elif [ "${CI:-}" = true ]; then
  say "$reason. With CI=true that is a failure: tests of the images would be left out unseen."
  exit 1
else
  say "$reason: integration tests use the embedded servers, and tests that need an engine are left out"
  export TEST_SERVERS=embedded
  filter+=(--tag=-engine)
  missed=$(./pants --tag=engine --filter-target-type=python_test list "${targets[@]}" 8>&- | tr '\n' ' ')
fi

[ -z "${COVERAGE:-}" ] || measure_plugins
rm -rf dist/test/reports
status=0
# Without file 8, which Pants' daemon would keep open.
./pants "${filter[@]}" test --report ${COVERAGE:+--use-coverage} "${targets[@]}" 8>&- || status=$?
"$python" ops/ci/summary.py dist/test/reports "$status" || status=$?
# If only some tests were requested, possibly none of them loads a plugin.
if [ -n "$measured" ] && { [ "${ARGS:-::}" = :: ] || compgen -G "$measured/*.json" > /dev/null; }; then
  printf '\nCoverage of the plugins of Pants; HTML: dist/coverage/plugins/index.html\n'
  "$coverage/bin/python" ops/build/coverage/plugins.py "$measured" dist/coverage/plugins --fail-under 90 || status=$?
fi
if [ -n "$missed" ]; then
  say "NOT RUN, for want of a container engine ($reason): $missed"
fi
[ -z "$later" ] || say "left to nightly.yml: $later"
exit "$status"
