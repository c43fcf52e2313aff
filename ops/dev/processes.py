"""A small supervisor: starts processes in order, each once ready, and stops them in reverse."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType

from fastapi_base.utils.exits import how_ended
from ops.dev import watchdog
from ops.dev.errors import Interrupted, UpError
from ops.dev.guard import Guard
from ops.dev.terminal import Terminal

Ready = Callable[[], bool]

_LAST_LINES = 15
_POLL = 0.05


@dataclass(frozen=True)
class Process:
    """A command, and how to tell that it serves.

    ``ready`` is polled until it is true, for at most ``ready_seconds``; without it a process counts
    as ready once started. ``stop_signal`` asks it to stop; it is killed after ``stop_seconds``. The
    output of a ``quiet`` process is shown only if it fails.
    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stdin: bytes | None = None
    ready: Ready | None = None
    ready_seconds: float = 60
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 30
    reloads: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Seen:
    """A process that should run: its start (Unix time) and process ID; None once it has ended."""

    name: str
    pid: int | None
    began: float


class _Running:
    def __init__(self, process: Process, popen: subprocess.Popen[bytes]) -> None:
        self.began = time.time()
        self.process = process
        self.popen = popen
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        self.stopping = False
        self.pump: threading.Thread | None = None


class Supervisor:
    """Runs processes, each in its own session, so that a terminal's Ctrl-C reaches only this one.

    Use as a context: at its end everything is stopped, in reverse order. If this process is killed,
    a watchdog stops them. ``keep`` are file descriptors that the watchdog holds until then, such as
    a lock.
    """

    def __init__(self, terminal: Terminal, keep: tuple[int, ...] = ()) -> None:
        self._terminal = terminal
        self._running: list[_Running] = []
        self._events: SimpleQueue[_Running | None] = SimpleQueue()
        self._order: dict[str, Process] = {}
        self._steps: list[Process] = []
        # Plain values, since a signal handler may interrupt a holder of a lock.
        self._stop = False
        self._guard = Guard(keep)

    def __enter__(self) -> "Supervisor":
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        try:
            for running in reversed(list(self._running)):
                self._end(running)
        finally:
            self._guard.close()

    def seen(self) -> list[Seen]:
        """The processes that should keep running, in start order."""
        running = {one.process.name: one for one in list(self._running)}
        found = []
        for name in list(self._order):
            one = running.get(name)
            ended = one is None or one.popen.poll() is not None
            began = one.began if one else 0.0
            found.append(Seen(name, None if ended or one is None else one.popen.pid, began))
        return found

    def say(self, text: str) -> None:
        """Show a line of progress."""
        self._terminal.say(text)

    def run(self, process: Process) -> None:
        """Run a command to completion with its output shown. Raises UpError if it fails.

        A command that reloads is run again before processes are restarted.
        """
        if process.reloads and process not in self._steps:
            self._steps.append(process)
        running = self._spawn(process)
        while running.popen.poll() is None:
            self._pause()
        self._forget(running)
        if running.popen.returncode:
            raise UpError(_ended(running))

    def start(self, *processes: Process) -> None:
        """Start processes together and wait until all are ready.

        Raises UpError if one exits or is not ready in time.
        """
        started = [(process, self._spawn(process)) for process in processes]
        for process, running in started:
            self._order[process.name] = process
            threading.Thread(target=self._await_end, args=(running,), daemon=True).start()
        began = said = time.monotonic()
        for process, running in started:
            while process.ready and not process.ready():
                if running.popen.poll() is not None:
                    raise UpError(_ended(running))
                now = time.monotonic()
                if now - began > process.ready_seconds:
                    raise UpError(
                        f"{process.name} was not ready within {process.ready_seconds:.0f} s"
                    )
                if now - said > 5:
                    said = now
                    self._terminal.say(f"waiting for {process.name} ({now - began:.0f} s)")
                self._pause()
            if process.ready:
                self._terminal.say(f"{process.name} is ready ({time.monotonic() - began:.1f} s)")

    def wait(self, on_change: Callable[[], bool] | None = None) -> None:
        """Return when asked to stop. Raises UpError if a process exits by itself.

        ``on_change`` is polled about twice a second for code changes; after one, processes that
        reload are restarted. Then such a process may also exit by itself, until the next change.
        """
        while not self._stop:
            try:
                running = self._events.get(timeout=0.5)
            except Empty:
                running = None
            if running is not None and not running.stopping:
                self._forget(running)
                if not (on_change and running.process.reloads):
                    raise UpError(_ended(running))
                self._terminal.say(f"{_ended(running)}\nwaiting for a change of the code")
            if on_change and on_change() and not self._interrupted():
                self._restart()

    def _interrupted(self) -> bool:
        return self._stop

    def _restart(self) -> None:
        self._terminal.say("the code changed: restarting")
        for running in reversed([one for one in self._running if one.process.reloads]):
            self._end(running)
        try:
            for step in self._steps:
                self.run(step)
            self.start(*[one for one in self._order.values() if one.reloads])
        except UpError as error:
            self._terminal.say(f"{error}\nwaiting for a change of the code")

    def _spawn(self, process: Process) -> _Running:
        try:
            popen = subprocess.Popen(
                process.command,
                cwd=process.cwd,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **process.environ},
                stdin=subprocess.DEVNULL if process.stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise UpError(f"{process.name} cannot be started: {error}") from None
        self._guard.add(popen.pid, process.stop_signal)
        running = _Running(process, popen)
        self._running.append(running)
        running.pump = threading.Thread(target=self._pump, args=(running,), daemon=True)
        running.pump.start()
        if popen.stdin and process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                popen.stdin.write(process.stdin)
                popen.stdin.close()
        return running

    def _pump(self, running: _Running) -> None:
        assert running.popen.stdout
        for raw in running.popen.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            running.last.append(line)
            if not running.process.quiet:
                self._terminal.line(running.process.name, line)

    def _await_end(self, running: _Running) -> None:
        running.popen.wait()
        self._events.put(running)

    def _end(self, running: _Running) -> None:
        running.stopping = True
        name, popen = running.process.name, running.popen
        if popen.poll() is None:
            self._terminal.say(f"stopping {name}")
            popen.send_signal(running.process.stop_signal)
            try:
                popen.wait(running.process.stop_seconds)
            except subprocess.TimeoutExpired:
                self._terminal.say(
                    f"{name} did not stop within {running.process.stop_seconds:.0f} s: killing it"
                )
        self._forget(running)

    def _forget(self, running: _Running) -> None:
        """Kill the rest of its process group too."""
        watchdog.send(running.popen.pid, signal.SIGKILL)
        running.popen.wait()
        if running.pump:
            running.pump.join(5)
        if running in self._running:
            self._running.remove(running)
        self._guard.remove(running.popen.pid)

    def _pause(self) -> None:
        time.sleep(_POLL)
        if self._stop:
            raise Interrupted

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._stop:
            self._stop = True
            self._events.put(None)
            return
        for running in reversed(self._running):
            watchdog.send(running.popen.pid, signal.SIGKILL)
        # The watchdog stops the rest.
        os._exit(128 + number)


def _ended(running: _Running) -> str:
    if running.pump:
        running.pump.join(2)
    how = how_ended(running.popen.returncode)
    last = "".join(f"\n    {line}" for line in running.last)
    said = f"; its last lines:{last}" if last else ", without a word"
    return f"{running.process.name} ended with {how}{said}"
