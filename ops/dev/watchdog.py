"""Ends the processes of a supervisor that died without doing it (SIGKILL, out of memory).

The supervisor keeps the other end of standard input and writes a line for each process group it
starts (``+PID SIGNAL``) or has ended (``-PID``). When that input ends, whatever is still listed is
asked to stop, the youngest first, and killed when it does not. Runs in a session of its own.
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
    """Stop the groups in turn, the youngest first; kill each that outlives ``grace`` seconds."""
    for group, number in reversed(groups.items()):
        send(group, number)
        deadline = time.monotonic() + grace
        while alive(group) and time.monotonic() < deadline:
            time.sleep(0.05)
        send(group, signal.SIGKILL)


def send(group: int, number: int) -> None:
    """Signal a process group that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def alive(group: int) -> bool:
    """Whether a process of the group is left."""
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
