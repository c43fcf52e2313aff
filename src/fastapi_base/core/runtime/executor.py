"""Runs blocking work outside the event loop, in a few threads with a bounded queue."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from fastapi_base.core.errors import Overloaded


class BoundedExecutor:
    """Runs blocking calls in `threads` threads; at most `queue` more calls wait.

    `niceness` lowers the CPU priority of the threads (setpriority(2) applies per thread on Linux),
    so that hashing does not slow down the event loop.
    """

    def __init__(self, name: str, *, threads: int, queue: int, niceness: int = 0) -> None:
        self._limit = threads + queue
        self._pending = 0
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix=name, initializer=partial(_be_nice, niceness)
        )

    @property
    def pending(self) -> int:
        """The number of calls that run or wait."""
        return self._pending

    async def run[**P, T](self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `call`. Raises Overloaded immediately if the queue is full."""
        return await self._submit(partial(call, *args, **kwargs))

    def close(self) -> None:
        """Accept no more calls and cancel those that wait."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _submit[T](self, call: Callable[[], T]) -> T:
        if self._pending >= self._limit:
            raise Overloaded
        loop = asyncio.get_running_loop()
        future = self._pool.submit(call)
        # After submit(), which may fail, e.g. if the process cannot start another thread.
        self._pending += 1
        future.add_done_callback(lambda _: self._release(loop))
        return await asyncio.wrap_future(future)

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        # The callback runs in a pool thread; update the counter in the event loop, like `_submit`.
        with contextlib.suppress(RuntimeError):  # the loop is closed, the count no longer matters
            loop.call_soon_threadsafe(self._count_down)

    def _count_down(self) -> None:
        self._pending -= 1


def _be_nice(niceness: int) -> None:
    if niceness and hasattr(os, "setpriority"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
