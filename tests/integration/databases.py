"""Databases for tests: clones of a template, and one whose commits are rolled back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.db.failures import translated
from fastapi_base.db.hooks import run_hooks
from fastapi_base.db.session import ReplicaConnection
from fastapi_base.models import metadata
from fastapi_base.utils.statements import InSession, Rows, Statement, Values
from tests.integration.waiting import until


def sibling(url: str, name: str) -> str:
    """The URL of another database on the same server, for SQLAlchemy."""
    return urlsplit(url)._replace(scheme="postgresql+asyncpg", path=f"/{name}").geturl()


async def clone(admin_url: str, name: str, template: str) -> None:
    """Create a database as a copy of another, replacing any of the same name."""
    await drop(admin_url, name)
    await _administer(admin_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


async def drop(admin_url: str, name: str) -> None:
    """Drop a database and all connections to it."""
    await _administer(admin_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _administer(admin_url: str, statement: str) -> None:
    engine = create_async_engine(
        sibling(admin_url, "postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    async with engine.connect() as connection:
        await connection.execute(text(statement))


async def leftovers(url: str) -> list[str]:
    """The tables that have rows."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        names = sorted(metadata.tables)
        parts = (f"SELECT '{name}' WHERE EXISTS (SELECT FROM \"{name}\")" for name in names)
        return list(await connection.scalars(text(" UNION ALL ".join(parts))))


async def sleeps(url: str) -> None:
    """Wait until a session of this database executes `pg_sleep`."""
    engine = create_async_engine(url, poolclass=NullPool)
    query = text(
        "SELECT 1 FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'PgSleep' LIMIT 1"
    )

    async def one_does() -> int | None:
        async with engine.connect() as connection:
            found: int | None = await connection.scalar(query)
            return found

    await until(one_does, "a session executes pg_sleep")


class RolledBackDatabase:
    """A Database on one connection inside an outer transaction.

    Each commit of the application becomes a savepoint. Requests take turns on the connection.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()
        self._sessions = async_sessionmaker(
            connection,
            class_=AsyncSession,
            expire_on_commit=False,
            join_transaction_mode="create_savepoint",
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """See fastapi_base.db.database.Database."""
        async with self._turn, translated(), self._sessions.begin() as session:
            yield session
        await run_hooks(session)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """See fastapi_base.db.database.Database."""
        async with self._turn, translated():
            yield self._connection

    async def shift_clock(self, interval: str) -> None:
        """Move the database's clock, as `statement_timestamp()` reads it, to the end of the test.

        The clock of this process stays.
        """
        async with self.read() as connection:
            for statement in (
                "CREATE SCHEMA shifted",
                "CREATE FUNCTION shifted.statement_timestamp() RETURNS timestamptz LANGUAGE sql AS"
                f" $$ SELECT pg_catalog.statement_timestamp() + interval '{interval}' $$",
                "SET LOCAL search_path = shifted, pg_catalog, public",
            ):
                await connection.execute(text(statement))

    async def run(self, statement: Statement, values: Values) -> Rows:
        """See fastapi_base.db.database.Database."""
        async with self.transaction() as session:
            return await InSession(session).run(statement, values)

    @asynccontextmanager
    async def read_replica(self) -> AsyncIterator[ReplicaConnection]:
        """See fastapi_base.db.database.Database."""
        async with self.read() as connection:
            yield ReplicaConnection(connection)
