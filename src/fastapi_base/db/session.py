"""Units of work: transactions for writing, autocommit connections for reading."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, NewType, Protocol, Self

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, async_sessionmaker
from sqlalchemy.util import greenlet_spawn
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import DatabaseSettings
from fastapi_base.core.config.database import TlsSettings
from fastapi_base.core.errors import NotMigrated, TakesNoWrites
from fastapi_base.core.observability import tracing
from fastapi_base.db.engine import create_engine
from fastapi_base.db.failures import connection_lost, is_temporary, translated, unusable
from fastapi_base.db.hooks import run_hooks
from fastapi_base.db.tracing import spanned
from fastapi_base.utils.statements import InSession, Rows, Statement, Values, execute

log = structlog.stdlib.get_logger(__name__)

# A connection to a replica, whose data may lag slightly. A service that accepts this type tolerates
# stale reads; one whose callers must see their own writes takes an AsyncConnection.
ReplicaConnection = NewType("ReplicaConnection", AsyncConnection)

REPLICA_REST_SECONDS = 5.0


class Database(Protocol):
    """Access to the database for services."""

    def transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session in one transaction, committed if the block succeeds, otherwise rolled back.

        A violated constraint raises its domain error, and an unreachable database raises
        Unavailable. Code in the block must not commit. Hooks of after_commit() run after the
        commit.
        """
        ...

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for single reads. Each statement autocommits and takes one round trip.

        Select columns with it, not entities. Hold it for a statement, not for a whole request.
        """
        ...

    async def run(self, statement: Statement, values: Values) -> Rows:
        """Run one statement as its own transaction, in one round trip, and return its rows.

        Raises the same errors as transaction().
        """
        ...

    def read_replica(self) -> AbstractAsyncContextManager[ReplicaConnection]:
        """Like read(), on a replica, whose data may lag slightly.

        Uses the primary if no replica is set or while the replica is unavailable.
        """
        ...


@asynccontextmanager
async def opened(
    settings: DatabaseSettings, name: str, tls: TlsSettings
) -> AsyncIterator["EngineDatabase"]:
    """A database with its own connections for the block. `name` is their application_name."""
    engine = create_engine(settings, name, tls)
    try:
        yield EngineDatabase.of(settings, engine)
    finally:
        await engine.dispose()


class EngineDatabase:
    """A database behind an engine, optionally with a replica behind another.

    `autocommit=False` runs each read in a transaction, as PgBouncer requires. `direct` lets run()
    call the driver directly, bypassing SQLAlchemy's events; it creates its own spans. If the
    replica does not answer, it is not tried again for `rest` seconds, so that not every read waits
    for it.
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
        """A database for engines of db/engine.py, configured by the settings."""
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
            try:
                records = await self._fetch(statement, values)
            except Exception as error:
                # A read can be repeated if only the connection failed.
                if not (statement.reads and connection_lost(error)):
                    raise
                log.info("a connection was lost; reading once more", error=type(error).__name__)
                records = await self._fetch(statement, values)
        return statement.rows(records)

    async def _fetch(self, statement: Statement, values: Values) -> Sequence[Any]:
        arguments = statement.arguments(values)
        pooled = await self._engine.raw_connection()
        driver: Any = pooled.driver_connection
        try:
            with spanned(self._tracer, self._name, statement.text):
                records: Sequence[Any] = await driver.fetch(statement.text, *arguments)
        except BaseException as error:
            # A connection that was interrupted during an operation is not reused; SQLAlchemy does
            # the same.
            broken = driver.is_closed() or unusable(error) or not isinstance(error, Exception)
            await greenlet_spawn(pooled.invalidate if broken else pooled.close)
            raise
        await greenlet_spawn(pooled.close)
        return records

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
        except Exception as error:
            # Only connecting is attempted here.
            if not (isinstance(error, (OSError, TimeoutError)) or is_temporary(error)):
                raise
            self._ask_replica_from = time.monotonic() + self._rest
            log.warning(
                "the replica does not answer; reading the primary",
                rest=self._rest,
                error=f"{type(error).__name__}: {error}",
            )
            return None


_STATE = text("""
    SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS read_only,
        to_regclass('alembic_version') IS NOT NULL AS migrated
""")


async def check(database: Database) -> None:
    """Check that the database is migrated and accepts writes. Raises Unavailable otherwise.

    The subclass of Unavailable gives the reason.
    """
    async with database.read() as connection:
        state = (await connection.execute(_STATE)).one()
    if state.read_only:
        raise TakesNoWrites
    if not state.migrated:
        raise NotMigrated
