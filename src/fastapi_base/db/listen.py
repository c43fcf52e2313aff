"""Hears what PostgreSQL's NOTIFY tells. Not through PgBouncer, whose connections change hands."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

log = structlog.stdlib.get_logger(__name__)

PAUSE_SECONDS = 1.0
_DOWN = (DBAPIError, PoolTimeout, OSError, TimeoutError)


async def listen(engine: AsyncEngine, channel: str, heard: Callable[[str | None], None]) -> None:
    """Call `heard` with each notice, and with None whenever some may have been missed.

    Holds one connection, and connects again when it is lost. Runs until it is cancelled.
    """
    while True:
        try:
            await _once(engine, channel, heard)
        except _DOWN as error:
            log.warning("notices are not heard", channel=channel, reason=type(error).__name__)
        await asyncio.sleep(PAUSE_SECONDS)


async def _once(engine: AsyncEngine, channel: str, heard: Callable[[str | None], None]) -> None:
    gone = asyncio.Event()
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        driver.add_termination_listener(lambda _: gone.set())
        await driver.add_listener(channel, lambda *notice: heard(notice[-1]))
        heard(None)
        try:
            await gone.wait()
        finally:
            # A connection that listens is not for others.
            await connection.invalidate()
