"""Blocking work is bounded, and does not block the event loop."""

import asyncio
import threading

import pytest

from fastapi_base.core.errors import Overloaded
from fastapi_base.core.executor import BoundedExecutor

pytestmark = pytest.mark.anyio


async def test_full_queue_refuses_at_once_and_recovers() -> None:
    executor = BoundedExecutor("test", threads=1, queue=1)
    gate = threading.Event()
    try:
        first = asyncio.create_task(executor.run(gate.wait, 10))
        second = asyncio.create_task(executor.run(gate.wait, 10))
        await asyncio.sleep(0)  # let both be submitted
        with pytest.raises(Overloaded):
            await executor.run(gate.wait, 10)
        gate.set()
        assert all(await asyncio.gather(first, second))
        await asyncio.sleep(0)  # let the second be counted as done
        assert await executor.run(int, "7") == 7
    finally:
        gate.set()
        executor.close()


async def test_error_of_the_call_is_raised() -> None:
    executor = BoundedExecutor("test", threads=1, queue=0)
    try:
        with pytest.raises(ValueError, match="invalid literal"):
            await executor.run(int, "x")
    finally:
        executor.close()
