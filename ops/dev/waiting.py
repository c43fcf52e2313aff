"""Waiting for a server that starts, with an end."""

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
    """Ask again and again, with so many seconds between, until it is ready.

    Raises UpError with what it said when it runs no more, or is not ready in so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if not runs():
            raise UpError(f"{what} ended while starting; it said:\n{said()}")
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
