"""Transactions, reads, and the translation of database errors to domain errors."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, text
from sqlalchemy.exc import ProgrammingError

from fastapi_base.api.deps import SessionDep
from fastapi_base.core.config import Settings
from fastapi_base.core.errors import EmailTaken, Overloaded, Unavailable
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.main import create_app
from fastapi_base.models import User
from tests.calling import calling

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(
    make_settings: Callable[[str], Settings], fresh_database_url: str
) -> AsyncIterator[EngineDatabase]:
    """A real database, with commits."""
    settings = make_settings(fresh_database_url).database
    engine = create_engine(settings.model_copy(update={"pool_size": 1, "pool_timeout": 0.2}))
    yield EngineDatabase(engine)
    await engine.dispose()


def ada() -> User:
    return User(email="ada@example.com", password_hash="x")


async def count(database: EngineDatabase) -> int:
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(User)) or 0


async def test_transaction_commits_at_its_end(database: EngineDatabase) -> None:
    async with database.transaction() as session:
        session.add(ada())
    assert await count(database) == 1


async def test_failed_transaction_is_rolled_back(database: EngineDatabase) -> None:
    async def fail() -> None:
        async with database.transaction() as session:
            session.add(ada())
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await count(database) == 0


async def test_violated_constraint_becomes_its_domain_error(database: EngineDatabase) -> None:
    async with database.transaction() as session:
        session.add(ada())
    with pytest.raises(EmailTaken):
        async with database.transaction() as session:
            session.add(ada())


async def test_read_starts_no_transaction(database: EngineDatabase) -> None:
    # now() is the start of the transaction.
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT now()")) != await connection.scalar(
            text("SELECT now()")
        )
    async with database.transaction() as session:
        connection = await session.connection()
        assert await connection.scalar(text("SELECT now()")) == await connection.scalar(
            text("SELECT now()")
        )


async def test_programming_error_is_not_translated(database: EngineDatabase) -> None:
    with pytest.raises(ProgrammingError):
        async with database.read() as connection:
            await connection.execute(text("SELECT nonsense"))


async def test_exhausted_pool_is_overloaded(database: EngineDatabase) -> None:
    async with database.read():
        with pytest.raises(Overloaded):
            async with database.read():
                pass


async def test_time_limits_are_set_on_every_connection(database: EngineDatabase) -> None:
    async with database.read() as connection:
        limits = [
            await connection.scalar(text(f"SHOW {name}"))
            for name in [
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
            ]
        ]
    assert limits == ["15s", "5s", "30s"]


async def test_slow_statement_is_overloaded(database: EngineDatabase) -> None:
    async def wait() -> None:
        async with database.transaction() as session:
            connection = await session.connection()
            await connection.execute(text("SET LOCAL statement_timeout = '50ms'"))
            await connection.execute(text("SELECT pg_sleep(10)"))

    with pytest.raises(Overloaded):
        await wait()


async def test_terminated_connection_is_unavailable_once(
    database: EngineDatabase,
) -> None:
    with pytest.raises(Unavailable):
        async with database.read() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert await count(database) == 0


async def test_commit_happens_before_the_reply_is_sent(
    make_settings: Callable[[str], Settings], fresh_database_url: str, database: EngineDatabase
) -> None:
    app: FastAPI = create_app(make_settings(fresh_database_url))

    @app.post("/people")
    async def create(session: SessionDep) -> str:
        session.add(ada())
        return "created"

    async def observe(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            seen.append(await count(database))

    seen: list[int] = []

    async def observed(scope: object, receive: object, send: object) -> None:
        async def send_and_look(message: dict[str, object]) -> None:
            await observe(message)
            assert callable(send)
            await send(message)

        await app(scope, receive, send_and_look)  # type: ignore[arg-type]

    transport = httpx2.ASGITransport(app=observed)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        first = await client.post("/people")
        second = await client.post("/people")
    assert first.status_code == 200
    # A failed commit still produces an error reply.
    assert second.status_code == 409
    assert second.json()["type"] == "urn:fastapi-base:email-taken"
    assert seen == [1, 1]


async def test_session_takes_a_connection_on_first_use(
    database: EngineDatabase,
) -> None:
    # The pool has one connection, and the session does not hold it.
    async with database.transaction() as session:
        assert await count(database) == 0
        session.add(ada())
    assert await count(database) == 1


async def test_concurrent_registrations_create_one_account(
    make_settings: Callable[[str], Settings], fresh_database_url: str, database: EngineDatabase
) -> None:
    app = create_app(make_settings(fresh_database_url))
    body = {"email": "ada@example.com", "password": "correct horse battery staple"}
    async with calling(app) as client:
        replies = await asyncio.gather(
            *(client.post("/api/v1/auth/register", json=body) for _ in range(8))
        )
    assert {reply.status_code for reply in replies} == {202}
    assert await count(database) == 1
