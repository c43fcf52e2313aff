"""Every fault under load, and the table of docs/reliability.md.

    make chaos [ARGS="--jobs 10000 --times 20 --fault 'Redis FLUSHALL'"]

Exit code 1 when a job was lost or took effect twice.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from ops.chaos.faults import FAULTS, Outcome, table, under
from ops.chaos.stack import Stack


def main() -> int:
    """Run them one after another on one stack, and print what was counted."""
    parser = argparse.ArgumentParser(prog="python -m ops.chaos.run", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs for each fault")
    parser.add_argument("--times", type=int, default=20, help="how often each fault comes")
    parser.add_argument("--fault", choices=FAULTS, action="append", help="this one alone")
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    for fault in options.fault or FAULTS:
        with (
            tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder,
            Stack(Path(folder)) as stack,
        ):
            outcomes.append(asyncio.run(under(stack, fault, options.jobs, options.times)))
        print(outcomes[-1], file=sys.stderr, flush=True)
    print(table(outcomes))
    return 0 if all(one.well for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
