"""`make lock`: changes the locks, and names known vulnerabilities of the new versions."""

import os
import sys

from ops.build.locks import cli, console
from ops.ci.scan import advisories
from ops.ci.scan.findings import UnavailableError


def advise(pins: cli.Pins) -> None:
    """Say what the index at SCAN_INDEX knows about these versions."""
    try:
        found = list(advisories.scan(os.environ.get("SCAN_INDEX", ""), pins))
    except UnavailableError as error:
        console.say(f"not checked for known vulnerabilities: {error}")
        return
    for one in found:
        console.say(f"VULNERABLE {one.name.split('/')[1]} {one.text} ({one.name})")
    if not found:
        console.say("no known vulnerability in the new versions")


if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:], advise))
