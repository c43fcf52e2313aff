"""Measures the coverage of the Pants plugins in each Python 3.9 with this on its PYTHONPATH.

Pants' engine calls rules on its own threads, which coverage.py's tracing does not see, so SlipCover
instruments the code itself. At exit, a process writes its coverage into the folder that
PLUGINS_COVERAGE names.
"""

import atexit
import json
import os
import sys
import uuid
from pathlib import Path

SOURCES = "ops/build/plugins"


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


# The launcher also starts a Python 3.13.
if sys.version_info[:2] == (3, 9) and "PLUGINS_COVERAGE" in os.environ:
    measure(Path(os.environ["PLUGINS_COVERAGE"]))
