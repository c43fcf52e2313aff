"""Stops the processes of a supervisor that died without stopping them (SIGKILL, out of memory).

The supervisor holds the other end of standard input and writes a line for each process group that
it starts (``+PID SIGNAL``) or that has ended (``-PID``). At the end of input, the groups still
listed are asked to stop, the most recent first, and killed if they do not. Runs in its own session.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable

GRACE = 10.0


def read(lines: Iterable[str]) -> dict[int, int]:
    """The groups still listed at the end of the input, oldest first, each with its signal."""
    groups: dict[int, int] = {}
    for line in lines:
        group, _, number = line[1:].strip().partition(" ")
        if line.startswith("+"):
            groups[int(group)] = int(number)
        else:
            groups.pop(int(group), None)
    return groups


def end(groups: dict[int, int], grace: float = GRACE) -> None:
    """Stop the groups in turn, the most recent first; kill each that outlives ``grace`` seconds."""
    for group, number in reversed(groups.items()):
        send(group, number)
        deadline = time.monotonic() + grace
        while alive(group) and time.monotonic() < deadline:
            time.sleep(0.05)
        send(group, signal.SIGKILL)


def send(group: int, number: int) -> None:
    """Signal a process group that may no longer exist."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def alive(group: int) -> bool:
    """Whether the group still has a process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end(read(sys.stdin))
