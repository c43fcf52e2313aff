"""Units of work with one retry."""

from collections.abc import Awaitable, Callable

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import Overloaded
from fastapi_base.db.failures import may_win_next_time
from fastapi_base.db.session import Database

log = structlog.stdlib.get_logger(__name__)


async def run_twice[T](database: Database, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """Run `work` in its own transaction, commit, and return its result.

    After a conflict with another transaction (serialization failure, deadlock), or if a migration
    changed the tables, the whole work is retried once in a new transaction. A second such failure
    raises Overloaded. Therefore `work` must have no side effects outside its session: they could
    happen twice. Hooks of after_commit() run once, for the committed attempt.
    """
    try:
        async with database.transaction() as session:
            return await work(session)
    except Overloaded as error:
        if not may_win_next_time(error.__cause__):
            raise
        log.info("retrying a transaction", cause=type(error.__cause__).__name__)
    async with database.transaction() as session:
        return await work(session)
