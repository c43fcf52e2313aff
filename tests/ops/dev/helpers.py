"""Runs a supervisor as a user would, in a separate process, and reads its output."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


class Run:
    """A started program, its output so far, and its child processes."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self.popen = popen
        self.lines: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.popen.stdout
        for line in self.popen.stdout:
            self._new.put(line.rstrip("\n"))
        self._new.put(None)

    @property
    def text(self) -> str:
        """The output that was read so far."""
        return "\n".join(self.lines)

    def expect(self, part: str, seconds: float = 90) -> str:
        """Wait for a line with ``part``, and return it."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._new.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {part!r} within {seconds} s in:\n{self.text}") from None
            assert line is not None, f"ended without {part!r}:\n{self.text}"
            self.lines.append(line)
            if part in line:
                return line

    def family(self) -> list[psutil.Process]:
        """The program and all its descendants."""
        process = psutil.Process(self.popen.pid)
        return [process, *process.children(recursive=True)]

    def send(self, number: signal.Signals) -> None:
        """Signal only the program."""
        self.popen.send_signal(number)

    def finish(self, seconds: float = 60) -> int:
        """Wait until it ends; returns its exit code, with all output in ``lines``."""
        code = self.popen.wait(seconds)
        while (line := self._new.get(timeout=10)) is not None:
            self.lines.append(line)
        return code


@contextmanager
def run(*command: str, **environ: str) -> Iterator[Run]:
    """Start ``python COMMAND`` with these variables; leftover processes are killed at the end."""
    popen = subprocess.Popen(
        [sys.executable, *command],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("API_")},
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONUNBUFFERED": "1",
            **environ,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    started = Run(popen)
    try:
        yield started
    finally:
        if popen.poll() is None:
            family = started.family()
            for process in family:
                process.kill()
            psutil.wait_procs(family, 20)
            popen.wait()


def gone(processes: list[psutil.Process], seconds: float = 40) -> bool:
    """Whether all of them end in time."""
    _, alive = psutil.wait_procs(processes, seconds)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
