"""The supervisor's side of the watchdog: registered processes end with this process in any case."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops.dev import watchdog


class Guard:
    """Starts a watchdog. ``keep`` are file descriptors that it holds as long as it lives."""

    def __init__(self, keep: tuple[int, ...] = ()) -> None:
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", watchdog.__file__],
            stdin=subprocess.PIPE,
            pass_fds=keep,
            start_new_session=True,
        )

    def add(self, group: int, stop_signal: signal.Signals) -> None:
        """Register a process group, and its stop signal."""
        self._tell(f"+{group} {int(stop_signal)}")

    def remove(self, group: int) -> None:
        """Unregister a group that has ended."""
        self._tell(f"-{group}")

    def close(self) -> None:
        """Stop the watchdog, which stops the groups still registered."""
        if self._watchdog.stdin:
            self._watchdog.stdin.close()
        self._watchdog.wait()

    def _tell(self, line: str) -> None:
        assert self._watchdog.stdin
        with contextlib.suppress(BrokenPipeError):
            self._watchdog.stdin.write(f"{line}\n".encode())
            self._watchdog.stdin.flush()


@contextmanager
def process(
    command: Sequence[str],
    log: Path,
    stop_signal: signal.Signals,
    stdin: bytes = b"",
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in its own session, stopped at the end of the context or with this process.

    ``environ`` is added to the environment of this process.
    """
    guard = Guard()
    try:
        with log.open("wb") as output:
            popen = subprocess.Popen(
                command,
                env={**os.environ, **(environ or {})},
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        guard.add(popen.pid, stop_signal)
        assert popen.stdin
        with contextlib.suppress(BrokenPipeError):
            popen.stdin.write(stdin)
            popen.stdin.close()
        try:
            yield popen
        finally:
            popen.send_signal(stop_signal)
            try:
                popen.wait(20)
            finally:
                watchdog.send(popen.pid, signal.SIGKILL)
                popen.wait()
                guard.remove(popen.pid)
    finally:
        guard.close()
