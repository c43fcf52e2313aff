"""Hooks after a commit, and which failures are retried."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import NotFound, Overloaded
from fastapi_base.db import hooks
from fastapi_base.db.engine import create_engine
from fastapi_base.db.hooks import Hook, after_commit
from fastapi_base.db.retry import run_twice
from fastapi_base.db.session import EngineDatabase

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(
    make_settings: Callable[[str], Settings], fresh_database_url: str
) -> AsyncIterator[EngineDatabase]:
    """A real database with commits, with a table of numbers."""
    engine = create_engine(make_settings(fresh_database_url).database)
    database = EngineDatabase(engine)
    async with database.transaction() as session:
        await run(session, "CREATE TABLE numbers (id int PRIMARY KEY, value int NOT NULL)")
        await run(session, "INSERT INTO numbers VALUES (1, 0), (2, 0)")
    yield database
    await engine.dispose()


async def run(session: AsyncSession, statement: str) -> None:
    await (await session.connection()).execute(text(statement))


async def value(database: EngineDatabase, number: int = 1) -> int:
    async with database.read() as connection:
        query = text("SELECT value FROM numbers WHERE id = :id")
        return int(await connection.scalar(query, {"id": number}) or 0)


async def add_one(session: AsyncSession, number: int = 1) -> None:
    await run(session, f"UPDATE numbers SET value = value + 1 WHERE id = {number}")


async def test_hooks_run_in_order_after_the_commit(database: EngineDatabase) -> None:
    seen: list[tuple[str, int]] = []

    def note(name: str) -> Hook:
        async def hook() -> None:
            seen.append((name, await value(database)))

        return hook

    async with database.transaction() as session:
        after_commit(session, note("first"))
        await add_one(session)
        after_commit(session, note("second"))
        assert seen == []
    assert seen == [("first", 1), ("second", 1)]


async def test_hooks_do_not_run_after_a_rollback(database: EngineDatabase) -> None:
    seen: list[int] = []

    async def hook() -> None:
        seen.append(1)

    async def fail() -> None:
        async with database.transaction() as session:
            after_commit(session, hook)
            raise NotFound

    async def be_refused() -> None:
        async with database.transaction() as session:
            after_commit(session, hook)
            await run(session, SERIALIZE)
            await add_one(session)
            await lose(database, session)

    with pytest.raises(NotFound):
        await fail()
    # A commit that the database refuses counts as a rollback.
    with pytest.raises(Overloaded):
        await be_refused()
    assert seen == []


async def test_failing_hook_is_logged_and_the_next_one_runs(
    database: EngineDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(hooks, "log", SimpleNamespace(exception=logged.append))
    seen: list[int] = []

    async def fail() -> None:
        raise ZeroDivisionError

    async def hook() -> None:
        seen.append(1)

    async with database.transaction() as session:
        after_commit(session, fail)
        after_commit(session, hook)
    assert seen == [1]
    assert logged == ["a hook failed after the commit"]


SERIALIZE = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"


async def lose(database: EngineDatabase, session: AsyncSession) -> None:
    """Make a serializable transaction that wrote number 1 fail by write skew with another one."""
    await run(session, "SELECT * FROM numbers")
    async with database.transaction() as other:
        await run(other, SERIALIZE)
        await run(other, "SELECT * FROM numbers")
        await add_one(other, 2)


async def test_serialization_failure_is_retried_once(database: EngineDatabase) -> None:
    attempts: list[int] = []
    ran: list[int] = []

    async def work(session: AsyncSession) -> int:
        attempts.append(1)
        attempt = len(attempts)

        async def hook() -> None:
            ran.append(attempt)

        after_commit(session, hook)
        await run(session, SERIALIZE)
        await add_one(session)
        if attempt == 1:
            await lose(database, session)
        return attempt

    assert await run_twice(database, work) == 2
    assert await value(database) == 1
    assert ran == [2]


async def test_second_serialization_failure_is_raised(database: EngineDatabase) -> None:
    attempts: list[int] = []

    async def work(session: AsyncSession) -> None:
        attempts.append(1)
        await run(session, SERIALIZE)
        await add_one(session)
        await lose(database, session)

    with pytest.raises(Overloaded, match="another transaction"):
        await run_twice(database, work)
    assert len(attempts) == 2
    assert await value(database) == 0


@pytest.mark.parametrize("error", [NotFound, Overloaded])
async def test_other_failures_are_not_retried(
    database: EngineDatabase, error: type[Exception]
) -> None:
    attempts: list[int] = []

    async def work(session: AsyncSession) -> None:
        attempts.append(1)
        raise error

    with pytest.raises(error):
        await run_twice(database, work)
    assert len(attempts) == 1


async def test_both_transactions_of_a_deadlock_succeed(database: EngineDatabase) -> None:
    together = asyncio.Barrier(2)
    attempts: list[int] = []

    async def work(session: AsyncSession, first: int) -> None:
        attempts.append(first)
        await add_one(session, first)
        if len(attempts) <= 2:
            await together.wait()
        await add_one(session, 3 - first)

    await asyncio.gather(
        run_twice(database, lambda session: work(session, 1)),
        run_twice(database, lambda session: work(session, 2)),
    )
    assert len(attempts) == 3
    assert [await value(database, 1), await value(database, 2)] == [2, 2]


async def test_statement_on_an_altered_table_is_retried(
    database: EngineDatabase, fresh_database_url: str
) -> None:
    query = "SELECT value FROM numbers"
    attempts: list[int] = []

    async def work(session: AsyncSession) -> None:
        attempts.append(1)
        await run(session, query)

    # The statement is prepared on the one connection that is used before and after.
    await run_twice(database, work)
    engine = create_async_engine(fresh_database_url)
    async with engine.begin() as other:
        await other.execute(text("ALTER TABLE numbers ALTER value TYPE bigint"))
    await engine.dispose()
    await run_twice(database, work)
    assert len(attempts) == 3
