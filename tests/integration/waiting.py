"""Waiting for a condition, with an end."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def until[T](ask: Callable[[], Awaitable[T | None]], what: str, seconds: float = 30) -> T:
    """Ask again and again until the answer is not None, and return it."""
    deadline = time.monotonic() + seconds
    while (answer := await ask()) is None:
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.05)
    return answer
