"""Units of work: a transaction to write, an autocommit connection to read."""

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, NewType, Protocol, Self

import structlog
from asyncpg import InterfaceError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, async_sessionmaker
from sqlalchemy.util import greenlet_spawn
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core import tracing
from fastapi_base.core.config import DatabaseSettings
from fastapi_base.db.failures import not_now, translated
from fastapi_base.db.hooks import run_hooks
from fastapi_base.db.tracing import spanned
from fastapi_base.utils.statements import InSession, Rows, Statement, Values, execute

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

    async def run(self, statement: Statement, values: Values) -> Rows:
        """The rows of one statement that is a transaction by itself: one round trip.

        Raises as transaction().
        """
        ...

    def read_replica(self) -> AbstractAsyncContextManager[ReplicaConnection]:
        """A read() to a replica, whose answers may be a moment old.

        It leads to the primary where no replica is set, and while the replica is down.
        """
        ...


class EngineDatabase:
    """The database behind an engine, and maybe a replica of it behind another.

    `autocommit=False` gives each read a transaction, as PgBouncer needs it. `direct` lets run() ask
    the driver itself, which nothing that listens to SQLAlchemy's events sees; it has spans of its
    own. After a replica did not answer it is left alone for `rest` seconds, so that not every read
    waits for it.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        replica: AsyncEngine | None = None,
        *,
        autocommit: bool = True,
        direct: bool = False,
        rest: float = REPLICA_REST_SECONDS,
    ) -> None:
        self._engine = engine
        self._autocommit = autocommit
        self._direct = direct
        self._tracer, self._name = tracing.tracer(), engine.url.database or ""
        self._reader = self._reading(engine)
        self._replica = None if replica is None else self._reading(replica)
        self._sessions = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
        self._rest = rest
        self._ask_replica_from = 0.0

    @classmethod
    def of(
        cls, settings: DatabaseSettings, engine: AsyncEngine, replica: AsyncEngine | None = None
    ) -> Self:
        """The database behind engines of db/engine.py, as the settings say."""
        return cls(
            engine,
            replica,
            autocommit=not settings.pgbouncer,
            direct=not (settings.pgbouncer or settings.sql_comments),
        )

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

    async def run(self, statement: Statement, values: Values) -> Rows:
        """See Database."""
        if not self._direct:
            if statement.reads:
                async with self.read() as connection:
                    return await execute(connection, statement, values)
            async with self.transaction() as session:
                return await InSession(session).run(statement, values)
        async with translated():
            pooled = await self._engine.raw_connection()
            driver: Any = pooled.driver_connection
            try:
                with spanned(self._tracer, self._name, statement.text):
                    records = await driver.fetch(statement.text, *statement.arguments(values))
            except BaseException as error:
                closed = driver.is_closed()
                # Who was interrupted in the middle leaves nothing in the pool; so does SQLAlchemy.
                broken = closed or not isinstance(error, Exception)
                await greenlet_spawn(pooled.invalidate if broken else pooled.close)
                if closed and isinstance(error, InterfaceError):
                    raise ConnectionError(str(error)) from error
                raise
            await greenlet_spawn(pooled.close)
        return statement.rows(records)

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
