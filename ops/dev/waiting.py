"""Waiting for a server to start, with a deadline."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from ops.dev.errors import UpError


def until(
    ready: Callable[[], bool],
    what: str,
    seconds: float,
    *,
    runs: Callable[[], bool] = lambda: True,
    said: Callable[[], str] = lambda: "",
    pause: float = 0.05,
) -> None:
    """Poll at this interval in seconds until it is ready.

    Raises UpError with its output if it has exited, or is not ready within the given seconds.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if not runs():
            raise UpError(f"{what} exited during startup with this output:\n{said()}")
        if time.monotonic() > deadline:
            raise UpError(f"{what}: not ready after {seconds:.0f} s:\n{said()}")
        time.sleep(pause)


def until_serves(
    process: subprocess.Popen[bytes],
    log: Path,
    ready: Callable[[], bool],
    what: str,
    seconds: float,
) -> None:
    """Wait for a process that writes to a log. Raises UpError as `until` does."""
    until(
        ready,
        what,
        seconds,
        runs=lambda: process.poll() is None,
        said=lambda: log.read_text("utf-8", "replace"),
    )
