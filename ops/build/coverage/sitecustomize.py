"""Measures the plugins of Pants, in each Python 3.9 that has this in its path (PYTHONPATH).

Pants' engine calls rules on threads of its own, where the tracing of coverage.py sees nothing, so
SlipCover counts, in the code itself. At its end a process writes what it has seen into the folder
that PLUGINS_COVERAGE names.
"""

import atexit
import json
import os
import sys
import uuid
from pathlib import Path

SOURCES = "ops/plugins"


def measure(folder: Path) -> None:
    import slipcover

    counts = slipcover.Slipcover(branch=True)
    only = slipcover.FileMatcher(sources=[SOURCES])
    slipcover.ImportManager(counts, only).__enter__()

    def write() -> None:
        found = counts.get_coverage()
        if found["files"]:
            (folder / f"{uuid.uuid4()}.json").write_text(json.dumps(found), encoding="utf-8")

    atexit.register(write)


# The launcher starts a Python 3.13, too.
if sys.version_info[:2] == (3, 9) and "PLUGINS_COVERAGE" in os.environ:
    measure(Path(os.environ["PLUGINS_COVERAGE"]))
