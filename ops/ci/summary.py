"""Add up the JUnit reports of a test run: skipped tests with their reasons, then a line of counts.

Usage: python summary.py FOLDER PANTS_STATUS. The exit status is 1 where Pants reported success and
yet a test failed or none ran, so that a run without tests is never taken for a good one.
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(folder: Path, pants_status: int) -> int:
    passed = failed = skipped = 0
    for report in sorted(folder.rglob("*.xml")):
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            name = f"{case.get('classname', '')}::{case.get('name', '')}"
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
                print(f"FAILED {name}")
            elif (skip := case.find("skipped")) is not None:
                skipped += 1
                print(f"SKIPPED {name}: {skip.get('message', 'no reason given')}")
            else:
                passed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return int(pants_status == 0 and (failed > 0 or passed == 0))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
