"""Runs programs of the npm locks (3rdparty/npm), and other programs, for their output."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

#: Redocly sends no usage data, and does not look for newer versions of itself.
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"}


class ToolError(RuntimeError):
    """A program could not be installed or run; the message is its output."""


def programs(root: Path, lock: str) -> str:
    """The folder of the programs of a lock, Node among them. Raises ToolError."""
    return run([str(root / "ops/build/bootstrap/npm.sh"), lock], root).strip()


def path(folder: str) -> dict[str, str]:
    """The variable PATH with this folder first."""
    return {"PATH": f"{folder}:{os.environ.get('PATH', os.defpath)}"}


def run(command: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """The standard output of a program, with additional variables. Raises ToolError."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ToolError(f"{Path(command[0]).name} failed: {done.stderr.strip() or done.stdout}")
    return done.stdout
