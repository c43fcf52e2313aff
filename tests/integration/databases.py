"""Databases for tests: clones of a template, and one whose commits are rolled back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.db.database import ReplicaConnection
from fastapi_base.db.failures import translated
from fastapi_base.db.hooks import run_hooks
from fastapi_base.utils.statements import InSession, Rows, Statement, Values


def sibling(url: str, name: str) -> str:
    """The URL of another database on the same server, for SQLAlchemy."""
    return urlsplit(url)._replace(scheme="postgresql+asyncpg", path=f"/{name}").geturl()


async def clone(admin_url: str, name: str, template: str) -> None:
    """Make a database as a copy of another; what had the name goes."""
    await drop(admin_url, name)
    await _administer(admin_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


async def drop(admin_url: str, name: str) -> None:
    """Remove a database, with all connections to it."""
    await _administer(admin_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _administer(admin_url: str, statement: str) -> None:
    engine = create_async_engine(
        sibling(admin_url, "postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    async with engine.connect() as connection:
        await connection.execute(text(statement))


class RolledBackDatabase:
    """A Database on one connection inside an outer transaction.

    What the application commits becomes a savepoint of it. Requests take turns on the connection.
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

    async def run(self, statement: Statement, values: Values) -> Rows:
        """See fastapi_base.db.database.Database."""
        async with self.transaction() as session:
            return await InSession(session).run(statement, values)

    @asynccontextmanager
    async def read_replica(self) -> AsyncIterator[ReplicaConnection]:
        """See fastapi_base.db.database.Database."""
        async with self.read() as connection:
            yield ReplicaConnection(connection)
