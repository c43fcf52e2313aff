"""Units of work: a transaction to write, an autocommit connection to read."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, async_sessionmaker
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.db.failures import translated


class Database(Protocol):
    """Where services read and write."""

    def transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session in one transaction, committed when the block ends well, else rolled back.

        A violated constraint is raised as its domain error, a database that does not answer as
        Unavailable. Code inside never commits.
        """
        ...

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for single reads: each statement its own, no BEGIN and no COMMIT on the way.

        Select columns with it, not entities. Keep it for the statement, not for the request.
        """
        ...


class EngineDatabase:
    """The database behind an engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._sessions = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """See Database."""
        async with translated(), self._sessions.begin() as session:
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """See Database."""
        async with translated(), self._reader.connect() as connection:
            yield connection


async def check(database: Database) -> None:
    """Ask the database for a sign of life. Raises Unavailable."""
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))
