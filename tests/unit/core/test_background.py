"""Failed background work is restarted, counted, logged and reported as unhealthy."""

import asyncio
import io
import json
import threading
from collections.abc import Awaitable, Callable

import pytest

from fastapi_base.core.runtime import background

pytestmark = pytest.mark.anyio


class Away(Exception):
    """The error that the work expects."""


def counted(name: str, kind: str) -> float:
    return float(background.FAILURES.child(name, kind)._value.get())


def failing(*errors: BaseException) -> tuple[Callable[[], Awaitable[None]], asyncio.Event]:
    """Work that fails with these errors and then runs forever, and an event that is set by then."""
    left, goes_on = list(errors), asyncio.Event()

    async def work() -> None:
        if left:
            raise left.pop(0)
        goes_on.set()
        await asyncio.Event().wait()

    return work, goes_on


async def until(holds: Callable[[], bool]) -> None:
    """Wait for the condition; the caller's time limit applies."""
    while not holds():  # noqa: ASYNC110  what changes is another's
        await asyncio.sleep(0.01)


async def test_work_is_restarted_after_each_failure(lines: io.StringIO) -> None:
    cancelled = asyncio.CancelledError()
    work, goes_on = failing(RuntimeError("password=hunter2"), Away("now"), cancelled)
    before = {kind: counted("again", kind) for kind in ("expected", "unexpected")}
    async with (
        asyncio.timeout(20),
        background.running("again", work, expected=(Away,), pause=0.01, longest=0.02),
    ):
        await goes_on.wait()
        state = background.states()["again"]
        assert state.failures == 3
        await until(lambda: background.states()["again"].ok)
    assert "again" not in background.states()
    assert counted("again", "expected") - before["expected"] == 1
    assert counted("again", "unexpected") - before["unexpected"] == 2
    unexpected, expected, _ = map(json.loads, lines.getvalue().splitlines())
    assert "in work" in unexpected["exception"]
    assert "hunter2" not in lines.getvalue()
    assert expected["level"] == "warning"
    assert "exception" not in expected


async def test_repeated_failures_back_off_and_are_reported_as_unhealthy() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    task = asyncio.create_task(background.supervised("broken", work, pause=0.01, longest=60))
    async with asyncio.timeout(20):
        await until(lambda: "broken" in background.states())
        state = background.states()["broken"]
        await until(lambda: state.failures == 4)
    assert (state.ok, state.error, state.pause) == (False, "ZeroDivisionError", 0.08)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_finished_work_is_not_restarted() -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    await background.supervised("over", work)
    assert done == [1]


async def test_leaving_the_block_stops_the_work_and_keeps_the_blocks_error() -> None:
    work, _ = failing(RuntimeError())
    with pytest.raises(LookupError):
        async with background.running("ends", work):
            raise LookupError
    assert "ends" not in background.states()


async def test_failure_of_one_time_work_does_not_reach_its_waiter(lines: io.StringIO) -> None:
    work, _ = failing(RuntimeError("in vain"))
    before = counted("once", "unexpected")
    await background.spawn("once", work)
    assert counted("once", "unexpected") - before == 1
    assert "in vain" in json.loads(lines.getvalue())["exception"]


@pytest.mark.parametrize("error", [RuntimeError("x"), SystemExit(1)], ids=["error", "exit"])
def test_failed_thread_is_restarted(error: BaseException, lines: io.StringIO) -> None:
    left, goes_on, end = [error], threading.Event(), threading.Event()

    def work() -> None:
        if left:
            raise left.pop()
        goes_on.set()
        end.wait(20)

    thread = background.thread("a-thread", work, pause=0.01)
    assert goes_on.wait(20)
    end.set()
    thread.join(20)
    assert not thread.is_alive()
    assert type(error).__name__ in json.loads(lines.getvalue())["exception"]
