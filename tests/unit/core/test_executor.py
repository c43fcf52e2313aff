"""Blocking work is bounded, and does not block the event loop."""

import asyncio
import os
import sys
import threading

import pytest

from fastapi_base.core.errors import Overloaded
from fastapi_base.core.runtime.executor import BoundedExecutor

pytestmark = pytest.mark.anyio


async def test_full_queue_refuses_at_once_and_recovers() -> None:
    executor = BoundedExecutor("test", threads=1, queue=1)
    gate = threading.Event()
    try:
        first = asyncio.create_task(executor.run(gate.wait, 10))
        second = asyncio.create_task(executor.run(gate.wait, 10))
        await asyncio.sleep(0)  # wait until both are submitted
        with pytest.raises(Overloaded):
            await executor.run(gate.wait, 10)
        gate.set()
        assert all(await asyncio.gather(first, second))
        await asyncio.sleep(0)  # wait until the second is counted as done
        assert await executor.run(int, "7") == 7
    finally:
        gate.set()
        executor.close()


async def test_threads_have_low_priority() -> None:
    executor = BoundedExecutor("test", threads=1, queue=0, niceness=10)
    try:
        mine = os.getpriority(os.PRIO_PROCESS, 0)
        if sys.platform == "linux":  # on systems where threads have their own priorities
            thread = await executor.run(threading.get_native_id)
            assert os.getpriority(os.PRIO_PROCESS, thread) >= 10
        assert os.getpriority(os.PRIO_PROCESS, 0) == mine
    finally:
        executor.close()


async def test_error_of_the_call_is_raised() -> None:
    executor = BoundedExecutor("test", threads=1, queue=0)
    try:
        with pytest.raises(ValueError, match="invalid literal"):
            await executor.run(int, "x")
    finally:
        executor.close()
