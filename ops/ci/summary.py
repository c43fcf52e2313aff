"""Add up the JUnit reports of a test run: skipped tests with their reasons, then a line of counts.

Usage: python summary.py FOLDER PANTS_STATUS. The exit status is 1 if Pants reported success
although a test failed or none ran, so a run without tests is never a success.
"""

import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """A test of a report; `outcome` is passed, failed or skipped, `reason` why it was skipped."""

    name: str
    outcome: str
    reason: str = ""


def cases(folder: Path) -> Iterator[Case]:
    """The tests of all reports below a folder."""
    for report in sorted(folder.rglob("*.xml")):
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            name = f"{case.get('classname', '')}::{case.get('name', '')}"
            if case.find("failure") is not None or case.find("error") is not None:
                yield Case(name, "failed")
            elif (skip := case.find("skipped")) is not None:
                yield Case(name, "skipped", skip.get("message", "no reason given"))
            else:
                yield Case(name, "passed")


def main(folder: Path, pants_status: int) -> int:
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for case in cases(folder):
        counts[case.outcome] += 1
        if case.outcome != "passed":
            print(f"{case.outcome.upper()} {case.name}{f': {case.reason}' if case.reason else ''}")
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return int(pants_status == 0 and (counts["failed"] > 0 or counts["passed"] == 0))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
