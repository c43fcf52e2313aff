"""A real relay, worker and Beat, as processes, running the jobs that the API enqueued."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from fastapi_base.core.config import Settings
from fastapi_base.main import create_app
from tests.calling import calling
from tests.integration import logs
from tests.integration.accounts import new_user
from tests.integration.processes import CELERY, RELAY, running
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

WORKER, BEAT = (*CELERY, "worker"), (*CELERY, "beat")


@pytest.fixture
async def client(
    make_settings: Callable[[str], Settings], fresh_database_url: str, redis: Redis
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application that commits; `redis` has emptied the broker."""
    app = create_app(make_settings(fresh_database_url))
    async with calling(app) as opened:
        yield opened


Start = Callable[..., AbstractContextManager[Path]]


@pytest.fixture
def start(tmp_path: Path, fresh_database_url: str, redis_url: str) -> Start:
    """Starts one of the project's programs; yields its log."""

    @contextmanager
    def one(name: str, command: tuple[str, ...], **settings: str) -> Iterator[Path]:
        log = tmp_path / f"{name}.log"
        environment = {
            "DATABASE_URL": fresh_database_url,
            "REDIS_URL": redis_url,
            "CELERY_HEARTBEAT_SECONDS": "1",
            "CELERY_CONCURRENCY": "1",
            "LOG_FORMAT": "json",
        }
        with running(command, log, **environment | settings):
            yield log

    return one


Sessions = Callable[[str], Awaitable[int]]


@pytest.fixture
async def database_sessions(fresh_database_url: str) -> AsyncIterator[Sessions]:
    """The number of sessions that an application has on the test's database."""
    engine = create_async_engine(fresh_database_url, poolclass=NullPool)
    statement = text("""
        SELECT count(*) FROM pg_stat_activity
        WHERE application_name = :name AND datname = current_database()
    """)

    async def count(name: str) -> int:
        async with engine.connect() as connection:
            return int(await connection.scalar(statement, {"name": name}) or 0)

    yield count
    await engine.dispose()


@pytest.fixture
def worker(start: Start, redis: Redis) -> Iterator[Path]:
    """A relay and a worker; yields the worker's log."""
    with start("relay", RELAY), start("worker", WORKER) as log:
        yield log


async def test_worker_counts_words_and_the_owner_reads_the_result(
    client: httpx2.AsyncClient, worker: Path
) -> None:
    headers = await new_user(client, "ada@example.com")
    reply = await client.post(
        "/api/v1/jobs/word-count", json={"text": "one fish two fish"}, headers=headers
    )

    async def finished() -> dict[str, Any] | None:
        job: dict[str, Any] = (await client.get(reply.headers["location"], headers=headers)).json()
        return job if job["status"] in {"succeeded", "failed"} else None

    job = await until(finished, f"the job is done; see {worker}", seconds=90)
    assert job["status"] == "succeeded"
    assert job["result"] == {"words": 4, "unique_words": 3, "characters": 17}

    async def logged() -> dict[str, Any] | None:
        found = await asyncio.to_thread(logs.events, worker)
        mine = [event for event in found if event.get("task_id") == job["id"]]
        return next((event for event in mine if event["event"] == "task ended"), None)

    ended = await until(logged, "the end of the task is logged")
    assert ended["request_id"] == reply.headers["x-request-id"]
    written = await asyncio.to_thread(worker.read_text)
    assert len([line for line in written.splitlines() if job["id"] in line]) == 1
    # Texts are private: neither arguments nor results belong in logs.
    assert "fish" not in written
    assert "unique_words" not in written


async def test_worker_creates_an_archive_that_the_api_serves(
    client: httpx2.AsyncClient, worker: Path
) -> None:
    client.headers |= await new_user(client, "ada@example.com")
    location = (await client.post("/api/v1/users/me/exports")).headers["location"]

    async def finished() -> dict[str, Any] | None:
        job: dict[str, Any] = (await client.get(location)).json()
        return job if job["status"] in {"succeeded", "failed"} else None

    job = await until(finished, f"the job is done; see {worker}", seconds=90)
    archive = (await client.get(job["result"]["href"])).content
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        (account,) = json.loads(opened.read("account.json"))
    assert account["email"] == "ada@example.com"


async def test_heartbeat_of_beat_reaches_readiness(
    client: httpx2.AsyncClient, worker: Path, tmp_path: Path, start: Start
) -> None:
    before = datetime.now(UTC)

    async def beaten() -> datetime | None:
        seen = (await client.get("/health/ready")).json()["last_heartbeat"]
        return datetime.fromisoformat(seen) if seen else None

    with start("beat", BEAT):
        first = await until(beaten, "a heartbeat", seconds=90)

        async def again() -> bool | None:
            latest = await beaten()
            return True if latest and latest > first else None

        await until(again, "a second heartbeat")
    assert before <= first <= datetime.now(UTC)
    # No file: Beat must run where the working directory is read-only.
    names = await asyncio.to_thread(lambda: {path.name for path in tmp_path.iterdir()})
    assert names == {"beat.log", "relay.log", "worker.log"}


async def test_worker_closes_its_connections_on_exit(
    client: httpx2.AsyncClient, start: Start, database_sessions: Sessions
) -> None:
    headers = await new_user(client, "ada@example.com")
    with start("relay", RELAY):
        with start("worker", WORKER) as log:
            reply = await client.post(
                "/api/v1/jobs/word-count", json={"text": "one"}, headers=headers
            )

            async def done() -> bool | None:
                job = (await client.get(reply.headers["location"], headers=headers)).json()
                return True if job["status"] == "succeeded" else None

            await until(done, "the job is done", seconds=90)
            # One loop and one pool, kept between jobs.
            assert 1 <= await database_sessions("fastapi-base-worker") <= 2
        assert '"connections closed"' in await asyncio.to_thread(log.read_text)

    async def all_closed() -> bool | None:
        # PostgreSQL ends a session only after its client has closed the connection.
        names = ("fastapi-base-worker", "fastapi-base-relay")
        return None if any([await database_sessions(name) for name in names]) else True

    await until(all_closed, "the sessions of worker and relay have ended")
