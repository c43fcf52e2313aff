"""Background work that runs as long as its process and never fails silently.

Failed work is restarted after a pause that doubles with each failure. Each failure is counted and
logged, and the process reports the work as unhealthy until it has run for a while again. Failures
that the work declares as expected, such as an unavailable server, are logged as one line. Any other
failure is a bug: it is logged with its traceback and reported.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from fastapi_base.core.errors import cause
from fastapi_base.core.observability import metrics, reporting

log = structlog.stdlib.get_logger(__name__)

PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0

FAILURES = metrics.counter(
    "background_failures",
    "Failures of background work, which is then restarted",
    "task",
    "kind",
)
type Expected = tuple[type[Exception], ...]


@dataclass(slots=True)
class State:
    """The state of one piece of work. `error` is the type name of its last failure."""

    failures: int = 0
    error: str | None = None
    # Length in seconds of the pause after the last failure; monotonic start time, None during a
    # pause.
    pause: float = 0.0
    started_at: float | None = None

    @property
    def ok(self) -> bool:
        """Whether it never failed, or has since run for longer than it paused."""
        if self.error is None:
            return True
        return self.started_at is not None and time.monotonic() - self.started_at > self.pause


_states: dict[str, list[State]] = {}


def states() -> dict[str, State]:
    """The work of this process by name. If several share a name, a failing one is returned."""
    # Copies, because threads start and end concurrently.
    found = [(name, [*states]) for name, states in sorted(_states.items())]
    return {
        name: min(states, key=lambda state: (state.ok, -state.failures))
        for name, states in found
        if states
    }


async def supervised(
    name: str,
    work: Callable[[], Awaitable[None]],
    *,
    expected: Expected = (),
    pause: float = PAUSE_SECONDS,
    longest: float = LONGEST_PAUSE_SECONDS,
) -> None:
    """Run the work until it returns, and restart it whenever it fails.

    `name` is a metric label, so its values must be few. `pause` is the first and `longest` the
    longest pause, in seconds. After a run longer than `longest`, the pause starts at `pause` again.
    """
    with _Watched(name, expected, pause, longest) as watched:
        while True:
            watched.started()
            try:
                await work()
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # Something that the work awaited was cancelled, not the work itself.
                wait = watched.failed(error)
            except Exception as error:
                wait = watched.failed(error)
            else:
                return
            # Sleep outside the handler, where the error and its frames have been released.
            await asyncio.sleep(wait)


@asynccontextmanager
async def running(
    name: str,
    work: Callable[[], Awaitable[None]],
    *,
    expected: Expected = (),
    pause: float = PAUSE_SECONDS,
    longest: float = LONGEST_PAUSE_SECONDS,
) -> AsyncIterator[None]:
    """Run the work, supervised, during the block, and cancel it at the end."""
    task = asyncio.create_task(
        supervised(name, work, expected=expected, pause=pause, longest=longest), name=name
    )
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def spawn(name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Run the work once in a task that never raises: failures are logged, counted and reported."""

    async def once() -> None:
        with _Watched(name, (), 0, 0) as watched:
            try:
                await work()
            except Exception as error:
                watched.failed(error)

    return asyncio.create_task(once(), name=name)


def thread(
    name: str, work: Callable[[], object], *, pause: float = PAUSE_SECONDS
) -> threading.Thread:
    """Run blocking work, supervised, in a daemon thread that is started and returned."""

    def run() -> None:
        with _Watched(name, (), pause, LONGEST_PAUSE_SECONDS) as watched:
            while True:
                watched.started()
                try:
                    work()
                # SystemExit and KeyboardInterrupt too: in a thread they would end only the thread.
                except BaseException as error:
                    wait = watched.failed(error)
                else:
                    return
                time.sleep(wait)

    started = threading.Thread(target=run, name=name, daemon=True)
    started.start()
    return started


class _Watched:
    """Registers the state of a piece of work while it runs."""

    def __init__(self, name: str, expected: Expected, pause: float, longest: float) -> None:
        self._name = name
        self._expected = expected
        self._first, self._next, self._longest = pause, pause, longest
        self._state = State()

    def __enter__(self) -> "_Watched":
        _states.setdefault(self._name, []).append(self._state)
        return self

    def __exit__(self, *_: object) -> None:
        found = _states[self._name]
        # By identity: two states may be equal.
        found[:] = [state for state in found if state is not self._state]
        if not found:
            _states.pop(self._name, None)

    def started(self) -> None:
        self._state.started_at = time.monotonic()

    def failed(self, error: BaseException) -> float:
        """Record the failure; returns the seconds to wait."""
        state, now = self._state, time.monotonic()
        if state.started_at is not None and now - state.started_at > self._longest:
            self._next = self._first
        pause, self._next = self._next, min(self._next * 2, self._longest)
        state.failures += 1
        state.error, state.pause, state.started_at = type(error).__name__, pause, None
        expected = isinstance(error, self._expected)
        FAILURES.child(self._name, "expected" if expected else "unexpected").inc()
        context: dict[str, object] = {"work": self._name}
        if pause:
            context["again_in_seconds"] = pause
        if expected:
            log.warning(
                "work in the background failed", error=str(error), cause=cause(error), **context
            )
        else:
            log.error("work in the background failed unexpectedly", exc_info=error, **context)
            reporting.capture(error, background=self._name)
        return pause
