"""Run tests repeatedly on a busy machine and report every test that failed at least once.

    make repeat TIMES=20 ARGS=tests/integration/test_nginx.py

Each processor also runs a busy loop, so that tests that depend on timing or order fail. Each run
uses `make test` without cached results. The exit status is 0 if no test failed in any run, 1 if one
did, and 2 if a run executed no tests.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops.ci import summary

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "dist/test/reports"
TEST = (str(ROOT / "ops/ci/test.sh"),)
# It exits by itself once its parent process is gone.
_LOOP = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    sum(range(100_000))\n"


@contextmanager
def busy(processors: int) -> Iterator[None]:
    """Keep the processors busy until the context ends."""
    loops = [
        subprocess.Popen([sys.executable, "-I", "-c", _LOOP, str(os.getpid())])
        for _ in range(processors)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def repeat(
    targets: Sequence[str], times: int, *, test: Sequence[str] = TEST, reports: Path = REPORTS
) -> int:
    """Run these targets and print the outcome of each run; returns the exit status."""
    # test.sh splits ARGS at spaces.
    environ = {**os.environ, "ARGS": " ".join(["--test-force", *targets])}
    failures: Counter[str] = Counter()
    bad_runs = 0
    for number in range(1, times + 1):
        shutil.rmtree(reports, ignore_errors=True)
        began = time.monotonic()
        status = subprocess.run(test, env=environ, check=False).returncode
        found = list(summary.cases(reports))
        passed = sum(case.outcome == "passed" for case in found)
        failed = [case.name for case in found if case.outcome == "failed"]
        failures.update(failed)
        print(
            f"repeat: run {number} of {times}: {passed} passed, {len(failed)} failed, "
            f"exit status {status}, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        if not passed and not failed:
            print(f"repeat: run {number} executed no tests of {' '.join(targets)}", file=sys.stderr)
            return 2
        bad_runs += bool(status or failed)
    for name, count in failures.most_common():
        print(f"repeat: {name} failed in {count} of {times} runs")
    print(f"repeat: {times - bad_runs} of {times} runs passed")
    return int(bad_runs > 0)


def _times(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 1000, such as 20")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="make repeat",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--times", type=_times, default=20, help="number of runs (TIMES)")
    parser.add_argument("targets", nargs="+", help="targets, as for `make test` (ARGS)")
    options = parser.parse_args(arguments)
    with busy(os.cpu_count() or 1):
        return repeat(options.targets, options.times)


if __name__ == "__main__":
    sys.exit(main())
