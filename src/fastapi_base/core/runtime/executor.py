"""Blocking work beside the event loop, in few threads and with a queue that has an end."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from fastapi_base.core.errors import Overloaded


class BoundedExecutor:
    """Runs blocking calls in `threads` threads; at most `queue` more wait.

    `niceness` lowers the threads' share of the processor (setpriority(2) works by thread on Linux),
    so that hashing does not slow the event loop down.
    """

    def __init__(self, name: str, *, threads: int, queue: int, niceness: int = 0) -> None:
        self._limit = threads + queue
        self._pending = 0
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix=name, initializer=partial(_be_nice, niceness)
        )

    @property
    def pending(self) -> int:
        """How many calls run or wait."""
        return self._pending

    async def run[**P, T](self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `call`. Raises Overloaded at once, when the queue is full."""
        return await self._submit(partial(call, *args, **kwargs))

    def close(self) -> None:
        """Take no more work, and drop what waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _submit[T](self, call: Callable[[], T]) -> T:
        if self._pending >= self._limit:
            raise Overloaded
        loop = asyncio.get_running_loop()
        self._pending += 1
        future = self._pool.submit(call)
        future.add_done_callback(lambda _: self._release(loop))
        return await asyncio.wrap_future(future)

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        # The callback comes from the pool's thread: count on the loop, where `_submit` counts.
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody counts any more
            loop.call_soon_threadsafe(self._count_down)

    def _count_down(self) -> None:
        self._pending -= 1


def _be_nice(niceness: int) -> None:
    if niceness and hasattr(os, "setpriority"):
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
