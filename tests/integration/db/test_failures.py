"""Only database errors are translated; a failed connection is not used again."""

import asyncio
import io
import json
import os
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import NullPool, bindparam, func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from fastapi_base.api.deps import SessionDep
from fastapi_base.core.config import DatabaseSettings, Settings
from fastapi_base.core.config.observability import LogSettings, SentrySettings
from fastapi_base.core.errors import Conflict, NotAuthenticated, Unavailable
from fastapi_base.core.observability import reporting
from fastapi_base.db.engine import create_engine
from fastapi_base.db.failures import translated
from fastapi_base.db.session import EngineDatabase
from fastapi_base.main import create_app
from fastapi_base.models import ApiKey, EmailChange, FileChunk, User
from fastapi_base.models.jobs.job import Job
from fastapi_base.utils.statements import Statement
from ops.measure.bench.collector import receiving
from tests.calling import calling
from tests.integration.databases import sleeps
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

NOW = Statement(select(func.now().label("now")))
SLEEP = Statement(select(func.pg_sleep(bindparam("seconds"))))


@pytest.fixture
def given(make_settings: Callable[[str], Settings], fresh_database_url: str) -> DatabaseSettings:
    return make_settings(fresh_database_url).database


@pytest.fixture
async def database(given: DatabaseSettings) -> AsyncIterator[EngineDatabase]:
    """A database as in the service: a pool, and the driver itself for single statements."""
    engine = create_engine(given.model_copy(update={"pool_size": 4, "pool_timeout": 20.0}))
    yield EngineDatabase.of(given, engine)
    await engine.dispose()


async def in_transaction(database: EngineDatabase, error: Exception) -> None:
    async with database.transaction() as session:
        await session.connection()
        raise error


async def in_read(database: EngineDatabase, error: Exception) -> None:
    async with database.read() as connection:
        await connection.scalar(text("SELECT 1"))
        raise error


async def in_replica(database: EngineDatabase, error: Exception) -> None:
    async with database.read_replica():
        raise error


@pytest.mark.parametrize("where", [in_transaction, in_read, in_replica])
@pytest.mark.parametrize(
    "error",
    [
        OSError("no space left on device"),
        FileNotFoundError("template"),
        ConnectionResetError("by somebody else"),
        TimeoutError("of another call"),
        ValueError("wrong"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_error_of_the_calling_code_is_not_translated(
    database: EngineDatabase,
    where: Callable[[EngineDatabase, Exception], Awaitable[None]],
    error: Exception,
) -> None:
    with pytest.raises(type(error)) as caught:
        await where(database, error)
    assert caught.value is error


async def test_timeout_of_the_calling_code_is_not_translated(database: EngineDatabase) -> None:
    async def wait() -> None:
        async with database.transaction() as session, asyncio.timeout(0.2):
            await (await session.connection()).execute(text("SELECT pg_sleep(20)"))

    with pytest.raises(TimeoutError):
        await wait()


async def test_unreachable_server_is_unavailable_and_the_cause_is_logged(
    make_settings: Callable[[str], Settings], redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    nobody = "postgresql+asyncpg://ada:hunter2@127.0.0.1:9/x"
    given = make_settings(nobody).model_copy(update={"log": LogSettings(format="json")})
    async with calling(create_app(given)) as client:
        form = {"username": "ada@example.com", "password": "x" * 12}
        reply = await client.post("/api/v1/auth/login", data=form)
    assert reply.status_code == 503
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    (event,) = (e for e in said if e["event"] == "the database does not answer")
    assert "ConnectionRefusedError" in event["error"]
    assert event["request_id"] == reply.headers["x-request-id"]
    assert "hunter2" not in stream.getvalue()


def user() -> User:
    return User(email=f"{uuid.uuid4()}@example.com", password_hash="x")


def key(owner: uuid.UUID, digest: bytes = b"d") -> ApiKey:
    return ApiKey(
        user_id=owner,
        name="k",
        digest=digest,
        start="k",
        scopes=[],
        created_at=datetime.now(UTC),
        expires_at=datetime.now(UTC),
    )


async def test_unmapped_constraint_violation_is_a_programming_error(
    database: EngineDatabase,
) -> None:
    async def add(*rows: object) -> None:
        async with database.transaction() as session:
            session.add_all(rows)

    ada = user()
    await add(ada)
    nothing: Any = None
    job: dict[str, Any] = {
        "version": 1,
        "payload": {},
        "queue": "default",
        "priority": 0,
        "attempt": 0,
    }
    for wrong, named in (
        ([User(email="UPPER@example.com", password_hash="x")], "ck_users_email_lower"),
        ([User(email="x@example.com", password_hash=nothing)], "password_hash"),
        ([key(ada.id), key(ada.id)], "uq_api_keys_digest"),
        ([Job(kind="x", state="unheard of", max_attempts=1, publishes=0, **job)], "ck_jobs_state"),
        ([FileChunk(file_id=uuid.uuid4(), number=1, data=b"")], "fk_file_chunks_file_id_files"),
    ):
        with pytest.raises(IntegrityError, match=named):
            await add(*wrong)


async def test_owner_of_a_row_may_have_been_deleted(database: EngineDatabase) -> None:
    with pytest.raises(NotAuthenticated):
        async with database.transaction() as session:
            session.add(key(uuid.uuid4()))


async def test_concurrent_requests_conflict(database: EngineDatabase) -> None:
    ada = user()
    async with database.transaction() as session:
        session.add(ada)
    statement = insert(EmailChange).values(
        user_id=ada.id, old_email="a", new_email="b", expires_at=datetime.now(UTC)
    )

    async def twice() -> None:
        async with database.transaction() as session:
            await session.exec(statement)
            await session.exec(statement)

    with pytest.raises(Conflict):
        await twice()


async def test_http_request_gets_500_and_is_logged_once_with_its_traceback(
    make_settings: Callable[[str], Settings],
    fresh_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    settings = make_settings(fresh_database_url)
    json_lines = settings.model_copy(update={"log": LogSettings(format="json")})
    app: FastAPI = create_app(json_lines)

    @app.post("/check")
    async def check(session: SessionDep) -> None:
        session.add(User(email="UPPER@example.com", password_hash="hunter2\n hunter2"))

    @app.post("/file")
    async def file(session: SessionDep) -> None:
        await session.connection()
        os.listdir("/nonexistent/file")  # noqa: PTH208

    async with calling(app) as client:
        for path, kind in (("/check", "IntegrityError"), ("/file", "FileNotFoundError")):
            reply = await client.post(path)
            assert (reply.status_code, reply.json()["type"]) == (
                500,
                "urn:fastapi-base:internal-error",
            )
            events = [json.loads(line) for line in stream.getvalue().splitlines()]
            (event,) = (e for e in events if kind in e.get("exception", ""))
            assert event["event"] == "unhandled error"
            assert event["path"] == path
            assert event["exception"].startswith("Traceback (most recent call last)")
            # Neither values of the statement nor values of the row.
            assert "hunter2" not in stream.getvalue()


async def kill_all(url: str, *, idle: bool = False) -> int:
    """End the sessions of the service's pool and return their number."""
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    only = "AND state = 'idle'" if idle else ""
    # Idle sessions end at once: wait for them, and so for their last messages.
    milliseconds = 5000 if idle else 0
    async with engine.connect() as connection:
        ended = await connection.scalars(
            text(
                f"SELECT pg_terminate_backend(pid, {milliseconds}) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                f" AND application_name = 'fastapi-base' {only}"
            )
        )
        return len(ended.all())


async def test_connections_ended_while_idle_fail_no_request(
    database: EngineDatabase, fresh_database_url: str
) -> None:
    drivers = set()

    async def read() -> None:
        async with database.read() as connection:
            drivers.add((await connection.get_raw_connection()).driver_connection)
            await connection.scalar(text("SELECT pg_sleep(0.05)"))

    async def all_closed() -> bool | None:
        return all(driver and driver.is_closed() for driver in drivers) or None

    for _ in range(3):
        await asyncio.gather(*(read() for _ in range(4)))
        assert await kill_all(fresh_database_url, idle=True)
        await until(all_closed, "the server's messages have arrived")
        await database.run(NOW, {})
        await asyncio.gather(*(read() for _ in range(4)))


async def test_connections_ended_under_load_cause_only_unavailable(
    database: EngineDatabase, fresh_database_url: str
) -> None:
    """Each request succeeds or is told to retry: no other error, and no write happens twice."""
    ended = asyncio.Event()
    seen: Counter[tuple[str, str]] = Counter()

    async def write() -> None:
        async with database.transaction() as session:
            connection = await session.connection()
            await connection.execute(text("SELECT pg_sleep(0.002)"))
            session.add(user())
            await session.flush()
            await connection.execute(text("SELECT generate_series(1, 2000)"))

    async def read() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT generate_series(1, 2000)"))

    async def run() -> None:
        await database.run(SLEEP, {"seconds": 0.002})

    async def load(work: Callable[[], Awaitable[None]]) -> None:
        while not ended.is_set():
            try:
                await work()
                outcome = "done"
            except Unavailable:
                outcome = "unavailable"
            except Exception as error:
                outcome = repr(error)
            seen[work.__name__, outcome] += 1
            # An immediate retry takes the connection ahead of those already waiting.
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(load(work)) for work in (write, read, run) for _ in range(4)]
    for _ in range(60):
        await kill_all(fresh_database_url)
        await asyncio.sleep(0.02)
    ended.set()
    await asyncio.gather(*tasks)
    assert {outcome for _, outcome in seen} == {"done", "unavailable"}, seen
    # The pool has lost no slot, and each connection works.
    await asyncio.gather(*(read() for _ in range(20)), *(run() for _ in range(20)))
    async with asyncio.timeout(20):
        rows = await database.run(Statement(select(func.count().label("n")).select_from(User)), {})
    done, perhaps = seen["write", "done"], seen["write", "unavailable"]
    assert done <= rows[0]["n"] <= done + perhaps


async def test_connection_used_concurrently_is_discarded_and_reported(
    database: EngineDatabase, fresh_database_url: str, settings: Settings
) -> None:
    with receiving() as received:
        sentry = SentrySettings(dsn=SecretStr(received.dsn))
        assert reporting.start(settings.model_copy(update={"sentry": sentry}))
        try:
            await lose_connection(database)
            await use_concurrently(database, fresh_database_url)
        finally:
            await asyncio.to_thread(reporting.stop)
    await database.run(NOW, {})
    (event,) = received.events
    raised = event["exception"]["values"][-1]
    assert "another operation is in progress" in raised["value"]
    functions = {frame["function"] for frame in raised["stacktrace"]["frames"]}
    assert "use_concurrently" in functions


async def lose_connection(database: EngineDatabase) -> None:
    """An outage, which is no bug of this program: the driver raises errors of the same type."""
    async with database.read() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        raw.driver_connection.terminate()
        with pytest.raises(Unavailable, match="does not answer"):
            async with translated():
                await connection.execute(text("SELECT 1"))


async def use_concurrently(database: EngineDatabase, fresh_database_url: str) -> None:
    async with database.read() as connection:
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        assert driver is not None
        busy = asyncio.create_task(driver.fetchval("SELECT pg_sleep(20)"))
        await sleeps(fresh_database_url)
        with pytest.raises(Unavailable, match="does not answer"):
            async with translated():
                await connection.execute(text("SELECT 1"))
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)
    assert driver.is_closed()
