"""Only database errors are translated."""

import asyncio
import io
import json
import os
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import Column, Integer, MetaData, Table, UniqueConstraint, insert, text
from sqlalchemy.exc import IntegrityError

from fastapi_base.api.deps import SessionDep
from fastapi_base.core.config import Settings
from fastapi_base.core.config.observability import LogSettings
from fastapi_base.core.errors import Conflict, NotAuthenticated
from fastapi_base.db import failures
from fastapi_base.db.session import EngineDatabase
from fastapi_base.main import create_app
from fastapi_base.models import (
    ApiKey,
    EmailChange,  # slice: email-change
    FileChunk,
    User,
)
from fastapi_base.models.base import CONFLICT
from fastapi_base.models.jobs.job import Job
from tests.calling import calling
from tests.integration.db import pools
from tests.integration.db.pools import user

pytestmark = pytest.mark.anyio
given = pools.given
database = pools.database


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


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetaData]:
    """A table with a constraint that declares its conflict."""
    tables = MetaData()
    one = UniqueConstraint("id", name="uq_things_id", info={CONFLICT: "Another thing has this id"})
    Table("things", tables, Column("id", Integer), one)
    monkeypatch.setattr(failures, "metadata", tables)
    failures._conflicts.cache_clear()
    yield tables
    failures._conflicts.cache_clear()


async def test_declared_conflict_has_its_detail(
    database: EngineDatabase, declared: MetaData
) -> None:
    (table,) = declared.tables.values()
    async with database.transaction() as session:
        await (await session.connection()).run_sync(declared.create_all)
        await session.exec(insert(table).values(id=1))
    with pytest.raises(Conflict, match="Another thing has this id"):
        async with database.transaction() as session:
            await session.exec(insert(table).values(id=1))


# begin slice: email-change
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


# end slice: email-change
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
