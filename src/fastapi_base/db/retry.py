"""A unit of work that is tried twice."""

from collections.abc import Awaitable, Callable

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import Overloaded
from fastapi_base.db.database import Database
from fastapi_base.db.failures import may_win_next_time

log = structlog.stdlib.get_logger(__name__)


async def run_twice[T](database: Database, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """What `work` returns, in a transaction of its own, committed.

    When another transaction was in the way (serialization failure, deadlock) or a migration changed
    the tables under it, the whole work is done once more in a new transaction; a second such
    failure is raised as Overloaded. So `work` must have no effect but in its session: whatever else
    it does, it may do twice. Hooks of after_commit() run once, for the attempt that is committed.
    """
    try:
        async with database.transaction() as session:
            return await work(session)
    except Overloaded as error:
        if not may_win_next_time(error.__cause__):
            raise
        log.info("trying a transaction again", cause=type(error.__cause__).__name__)
    async with database.transaction() as session:
        return await work(session)
