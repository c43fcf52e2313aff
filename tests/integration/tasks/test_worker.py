"""A real worker and a real Beat, as processes, doing what the API enqueued."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis

from tests.integration.accounts import new_user
from tests.integration.processes import CELERY, running
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio


@contextmanager
def celery(folder: Path, redis_url: str, role: str) -> Iterator[Path]:
    """Run a worker, or Beat; yields its log."""
    log = folder / f"{role}.log"
    with running(
        (*CELERY, role),
        log,
        REDIS_URL=redis_url,
        CELERY_HEARTBEAT_SECONDS="1",
        CELERY_CONCURRENCY="1",
        LOG_FORMAT="json",
    ):
        yield log


@pytest.fixture
async def worker(tmp_path: Path, redis: Redis, redis_url: str) -> AsyncIterator[Path]:
    """A worker; `redis` has emptied the database before it starts."""
    with celery(tmp_path, redis_url, "worker") as log:
        yield log


async def test_worker_counts_words_and_the_owner_sees_the_result(
    client: httpx2.AsyncClient, worker: Path
) -> None:
    headers = await new_user(client, "ada@example.com")
    reply = await client.post(
        "/api/v1/jobs/word-count", json={"text": "one fish two fish"}, headers=headers
    )

    async def finished() -> dict[str, Any] | None:
        job: dict[str, Any] = (await client.get(reply.headers["location"], headers=headers)).json()
        return job if job["status"] in {"succeeded", "failed"} else None

    job = await until(finished, f"the job is done; see {worker}")
    assert job["status"] == "succeeded"
    assert job["result"] == {"words": 4, "unique_words": 3, "characters": 17}

    async def logged() -> dict[str, Any] | None:
        lines = (await asyncio.to_thread(worker.read_text)).splitlines()
        found: list[dict[str, Any]] = [json.loads(line) for line in lines if job["id"] in line]
        return next((event for event in found if event["event"] == "task ended"), None)

    ended = await until(logged, "the end of the task is logged")
    assert ended["request_id"] == reply.headers["x-request-id"]
    written = await asyncio.to_thread(worker.read_text)
    assert len([line for line in written.splitlines() if job["id"] in line]) == 1
    # Texts are the callers' own: neither arguments nor results belong into logs.
    assert "fish" not in written
    assert "unique_words" not in written


async def test_heartbeat_of_beat_reaches_readiness(
    client: httpx2.AsyncClient, worker: Path, tmp_path: Path, redis_url: str
) -> None:
    start = datetime.now(UTC)

    async def beaten() -> datetime | None:
        seen = (await client.get("/health/ready")).json()["last_heartbeat"]
        return datetime.fromisoformat(seen) if seen else None

    with celery(tmp_path, redis_url, "beat"):
        first = await until(beaten, "a heartbeat")

        async def again() -> bool | None:
            latest = await beaten()
            return True if latest and latest > first else None

        await until(again, "a second heartbeat")
    assert start <= first <= datetime.now(UTC)
    # No schedule file: Beat must run where the working folder is read-only.
    names = await asyncio.to_thread(lambda: {path.name for path in tmp_path.iterdir()})
    assert names == {"beat.log", "worker.log"}


async def test_beat_keeps_its_schedule_where_it_is_told_to(
    tmp_path: Path, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = tmp_path / "state" / "schedule"
    schedule.parent.mkdir()
    monkeypatch.setenv("CELERY_BEAT_SCHEDULE_FILE", str(schedule))

    monkeypatch.setenv("CELERY_HEARTBEAT_SECONDS", "1")

    async def sent() -> bool | None:
        return True if await redis.llen("fastapi-base") else None

    with celery(tmp_path, redis_url, "beat"):
        # Until it works: a signal while it imports its backend would end it with an error.
        await until(sent, "a heartbeat in the queue")
        assert list(schedule.parent.glob("schedule*"))
