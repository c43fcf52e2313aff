"""Units of work: a transaction to write, an autocommit connection to read."""

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import NewType, Protocol

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, async_sessionmaker
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.db.failures import not_now, translated
from fastapi_base.db.hooks import run_hooks

log = structlog.stdlib.get_logger(__name__)

# A connection whose answers may be a moment old. A service that takes one says that it can live
# with that; where a caller must see its own last write, it takes an AsyncConnection.
ReplicaConnection = NewType("ReplicaConnection", AsyncConnection)

REPLICA_REST_SECONDS = 5.0


class Database(Protocol):
    """Where services read and write."""

    def transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session in one transaction, committed when the block ends well, else rolled back.

        A violated constraint is raised as its domain error, a database that does not answer as
        Unavailable. Code inside never commits. Hooks of after_commit() run after the commit.
        """
        ...

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for single reads: each statement its own, no BEGIN and no COMMIT on the way.

        Select columns with it, not entities. Keep it for the statement, not for the request.
        """
        ...

    def read_replica(self) -> AbstractAsyncContextManager[ReplicaConnection]:
        """The same to a replica, whose answers may be a moment old.

        It leads to the primary where no replica is set, and while the replica is down.
        """
        ...


class EngineDatabase:
    """The database behind an engine, and maybe a replica of it behind another.

    `autocommit=False` gives each read a transaction, as PgBouncer needs it. After a replica did not
    answer it is left alone for `rest` seconds, so that not every read waits for it.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        replica: AsyncEngine | None = None,
        *,
        autocommit: bool = True,
        rest: float = REPLICA_REST_SECONDS,
    ) -> None:
        self._engine = engine
        self._autocommit = autocommit
        self._reader = self._reading(engine)
        self._replica = None if replica is None else self._reading(replica)
        self._sessions = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
        self._rest = rest
        self._ask_replica_from = 0.0

    def _reading(self, engine: AsyncEngine) -> AsyncEngine:
        return (
            engine.execution_options(isolation_level="AUTOCOMMIT") if self._autocommit else engine
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """See Database."""
        async with translated(), self._sessions.begin() as session:
            yield session
        await run_hooks(session)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """See Database."""
        async with translated(), self._reader.connect() as connection:
            yield connection

    @asynccontextmanager
    async def read_replica(self) -> AsyncIterator[ReplicaConnection]:
        """See Database."""
        async with translated(), AsyncExitStack() as stack:
            connection = await self._replica_connection(stack)
            if connection is None:
                connection = await stack.enter_async_context(self._reader.connect())
            yield ReplicaConnection(connection)

    async def _replica_connection(self, stack: AsyncExitStack) -> AsyncConnection | None:
        if self._replica is None or time.monotonic() < self._ask_replica_from:
            return None
        try:
            return await stack.enter_async_context(self._replica.connect())
        except (OSError, TimeoutError, DBAPIError) as error:
            if isinstance(error, DBAPIError) and not not_now(error):
                raise
            self._ask_replica_from = time.monotonic() + self._rest
            log.warning("the replica does not answer; reading the primary", rest=self._rest)
            return None


async def check(database: Database) -> None:
    """Ask the database for a sign of life. Raises Unavailable."""
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))
