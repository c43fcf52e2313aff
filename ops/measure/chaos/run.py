"""Injects each fault under load and prints the tables of docs/reliability.md.

    make chaos [ARGS="--jobs 10000 --times 20 --fault 'Redis FLUSHALL'"]

The exit status is 1 if a job was lost or took effect twice, or if a read was stale.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from ops.measure.chaos import (
    faults,
    items_reads,  # slice: items
)
from ops.measure.chaos.check import Check, Counted

CHECKS: tuple[Check[Any], ...] = (
    faults.CHECK,
    items_reads.CHECK,  # slice: items
)


def main() -> int:
    """Run the faults one after another, each on its own stack, and print the counts."""
    names = [name for check in CHECKS for name in check.faults]
    parser = argparse.ArgumentParser(prog="python -m ops.measure.chaos.run", description=__doc__)
    parser.add_argument(
        "--jobs", type=int, default=10_000, help="number of jobs or reads per fault"
    )
    parser.add_argument("--times", type=int, default=20, help="how often each fault is injected")
    parser.add_argument(
        "--fault", choices=names, action="append", help="inject only this fault (repeatable)"
    )
    options = parser.parse_args()
    chosen = options.fault or names
    all_well, tables = True, []
    for check in CHECKS:
        outcomes: list[Counted] = []
        for fault in (name for name in check.faults if name in chosen):
            with (
                tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder,
                check.stack(Path(folder)) as stack,
            ):
                outcomes.append(asyncio.run(check.under(stack, fault, options.jobs, options.times)))
            print(outcomes[-1], file=sys.stderr, flush=True)
            all_well = all_well and outcomes[-1].well
        if outcomes:
            tables.append(check.table(outcomes))
    print("\n\n".join(tables))
    return 0 if all_well else 1


if __name__ == "__main__":
    sys.exit(main())
