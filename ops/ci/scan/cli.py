"""`make scan`: runs all checks and applies the waivers.

The exit status is 1 if a finding has no valid waiver. A check that cannot run is reported; with
``--require`` it fails the run.
"""

import argparse
import datetime
import importlib.metadata
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from ops.ci.scan import advisories, debian, licences, secrets
from ops.ci.scan.findings import Finding, UnavailableError, WaiverError, judge, waivers

ROOT = Path.cwd()
WAIVERS = Path("ops/ci/scan/waivers.toml")


def locked(text: str) -> list[tuple[str, str]]:
    """Names and versions of a requirements lock."""
    return re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", text, re.MULTILINE)


def checks(root: Path, index: str) -> dict[str, Callable[[], Iterable[Finding]]]:
    """The checks by name, not started yet."""
    pins = {
        pin
        for path in sorted((root / "3rdparty").glob("*/*.lock"))
        if path.parent.name != "debian"
        for pin in locked(path.read_text(encoding="utf-8"))
    }
    return {
        "secrets": lambda: secrets.scan(root, secrets.tracked(root)),
        "licences": lambda: licences.scan(importlib.metadata.distributions()),
        "advisories": lambda: advisories.scan(index, pins),
        "debian": lambda: debian.scan(sorted((root / "3rdparty/debian").glob("*.toml"))),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the named checks, or all, and print their findings."""
    parser = argparse.ArgumentParser(prog="scan", description=__doc__)
    parser.add_argument("check", nargs="*", help="secrets, licences, advisories, debian")
    parser.add_argument("--require", default=os.environ.get("SCAN_REQUIRE", ""))
    parser.add_argument("--index", default=os.environ.get("SCAN_INDEX", ""))
    chosen = parser.parse_args(arguments)
    available = checks(ROOT, chosen.index)
    required = {name for name in chosen.require.split(",") if name}
    names = chosen.check or list(available)
    if unknown := sorted({*names, *required} - set(available)):
        parser.error(f"unknown check {unknown[0]!r}; available: {', '.join(available)}")
    found: list[Finding] = []
    failed = False
    for name in names:
        try:
            one = list(available[name]())
        except UnavailableError as error:
            failed |= name in required
            print(f"NOT CHECKED {name}: {error}")
        else:
            print(f"{name}: {len(one)} found")
            found += one
    try:
        verdict = judge(found, waivers(ROOT / WAIVERS), datetime.datetime.now(datetime.UTC).date())
    except WaiverError as error:
        print(f"scan: {error}")
        return 1
    for line in verdict.waived:
        print(f"waived {line}")
    for line in verdict.idle:
        if line.partition("/")[0] in names:
            print(f"note: the waiver of {line} no longer matches a finding; remove it")
    for line in verdict.bad:
        print(f"FOUND {line}")
    if verdict.bad:
        print(f"{len(verdict.bad)} findings: fix them, or waive them temporarily in {WAIVERS}")
    return int(failed or bool(verdict.bad))


if __name__ == "__main__":
    sys.exit(main())
