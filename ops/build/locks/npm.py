"""Refreshes the locks of npm packages."""

import os
import subprocess
from pathlib import Path

from ops.build.locks.errors import LockingError
from ops.build.locks.workspace import Workspace


def refresh(work: Workspace, *, keep: bool) -> None:
    """Refresh all locks in the workspace, with the locked npm. Raises LockingError."""
    if not any(work.folder.glob("3rdparty/npm/*/package.json")):
        return
    done = subprocess.run(
        [Path(__file__).with_name("npm.sh"), work.folder],
        env={**os.environ, "KEEP": "1" if keep else ""},
        check=False,
    )
    if done.returncode:
        raise LockingError("the locks of npm packages could not be refreshed (above)")
