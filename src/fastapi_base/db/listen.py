"""Receives PostgreSQL's NOTIFY messages. Not through PgBouncer, which multiplexes connections."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from fastapi_base.core.errors import Unavailable
from fastapi_base.core.runtime import background
from fastapi_base.db.failures import UNAVAILABLE, translated
from fastapi_base.utils.timeouts import occurs, time_limit

PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 5.0
# A silently lost connection is detected after the sum of both at the latest.
LOOK_SECONDS = 10.0
ANSWER_SECONDS = 5.0


async def listen(engine: AsyncEngine, channel: str, heard: Callable[[str | None], None]) -> None:
    """Call `heard` with each payload, and with None whenever notifications may have been missed.

    It occupies one connection and reconnects whenever the connection is lost, supervised by
    core/runtime/background.py: failures are counted, logged, and visible in the health of the
    process. Runs until it is cancelled.
    """
    await background.supervised(
        f"listen {channel}",
        lambda: _once(engine, channel, heard),
        expected=UNAVAILABLE,
        pause=PAUSE_SECONDS,
        longest=LONGEST_PAUSE_SECONDS,
    )


async def _once(engine: AsyncEngine, channel: str, heard: Callable[[str | None], None]) -> None:
    """Listen until the connection is lost. Raises Unavailable and Overloaded."""
    gone = asyncio.Event()
    async with translated(), engine.connect() as connection:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        try:
            driver.add_termination_listener(lambda _: gone.set())
            await _answer(driver.add_listener(channel, lambda *notice: heard(notice[-1])))
            heard(None)
            while not await occurs(gone, LOOK_SECONDS):
                await _answer(driver.fetchval("SELECT 1"))
        finally:
            # A listening connection must not return to the pool.
            await connection.invalidate()
    raise Unavailable("the listening connection was lost")


async def _answer(asked: Coroutine[Any, Any, object]) -> None:
    late = Unavailable("the listening connection does not respond")
    async with time_limit(ANSWER_SECONDS, late):
        await asked
