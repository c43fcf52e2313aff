"""What tasks need to call asynchronous services."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache

from fastapi_base.core.config import Settings
from fastapi_base.db.database import Database, EngineDatabase
from fastapi_base.db.engine import create_engine


@cache
def settings() -> Settings:
    """The settings of this process, as tasks/app.py read them."""
    return Settings.load()


def run[T](work: Callable[[Database], Awaitable[T]]) -> T:
    """What `work` returns, with a database of its own.

    An event loop each time, and so an engine each time: connections belong to their loop.
    """

    async def whole() -> T:
        database = settings().database
        engine = create_engine(database, "fastapi-base-worker")
        try:
            return await work(EngineDatabase(engine, autocommit=not database.pgbouncer))
        finally:
            await engine.dispose()

    return asyncio.run(whole())
