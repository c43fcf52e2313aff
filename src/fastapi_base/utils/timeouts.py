"""Timeouts that are distinguishable from errors of the work itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def time_limit(seconds: float, late: Exception) -> AsyncIterator[None]:
    """Raise `late` if the block exceeds `seconds`. A TimeoutError of the block itself passes."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise late from error


async def occurs(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event is set within `seconds`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False
