"""Waiting for a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def until[T](ask: Callable[[], Awaitable[T | None]], what: str, seconds: float = 30) -> T:
    """Call repeatedly until the result is not None, and return it."""
    deadline = time.monotonic() + seconds
    while (answer := await ask()) is None:
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.05)
    return answer
