"""A worker whose single process runs many jobs concurrently, with Celery's thread pool."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from fastapi_base.core.config import Settings
from fastapi_base.core.messaging.queues import task_name
from fastapi_base.core.runtime.background import FAILURES
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import Database, EngineDatabase
from fastapi_base.services.jobs.enqueue import enqueue
from fastapi_base.tasks.runtime import Runtime
from ops.measure.bench.collector import receiving
from tests.integration import logs
from tests.integration.meeting import MEETING, Meeting
from tests.integration.processes import CELERY, RELAY, running
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

PEOPLE = 4
_DONE = text("SELECT count(*) FROM jobs WHERE state = 'succeeded'")
WORKER = (
    *(*CELERY, "worker", "--include=tests.integration.meeting"),
    *("--pool=threads", f"--concurrency={PEOPLE}"),
)


@pytest.fixture
async def database(
    make_settings: Callable[[str], Settings], fresh_database_url: str
) -> AsyncIterator[EngineDatabase]:
    engine = create_engine(make_settings(fresh_database_url).database)
    yield EngineDatabase(engine)
    await engine.dispose()


async def test_jobs_of_one_process_run_concurrently(
    database: EngineDatabase, fresh_database_url: str, redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    async def finished() -> bool | None:
        async with database.read() as connection:
            return True if await connection.scalar(_DONE) == PEOPLE else None

    with receiving() as received:
        given = {
            "DATABASE_URL": fresh_database_url,
            "REDIS_URL": redis_url,
            "LOG_FORMAT": "json",
            "TRACING_ENDPOINT": received.traces_url,
            "TRACING_SAMPLE": "1",
        }
        log = tmp_path / "worker.log"
        with running(RELAY, tmp_path / "relay.log", **given), running(WORKER, log, **given):
            async with database.transaction() as session:
                asked = Meeting(people=PEOPLE)
                jobs = [(await enqueue(session, MEETING, asked)).id for _ in range(PEOPLE)]
            await until(finished, "all jobs have succeeded", 90)
    events = await asyncio.to_thread(logs.events, log)
    # Each under its own name, though they ran on one loop.
    ended = [event["task_id"] for event in events if event["event"] == "task ended"]
    assert sorted(ended) == sorted(map(str, jobs))
    assert any(event["event"] == "connections closed" for event in events)
    name = f"run {task_name(MEETING.name)}"
    assert len([span for span in received.spans if span.name == name]) == PEOPLE


def test_event_loop_stopped_by_one_job_fails_no_later_job(settings: Settings) -> None:
    """A task of a job that raises SystemExit stops the loop, which is restarted."""

    async def exits(_: Database) -> None:
        async def exit_() -> None:
            raise SystemExit(1)

        inner = asyncio.create_task(exit_())
        await asyncio.wait([inner])
        # It affects only this job.
        inner.exception()

    async def works(database: Database) -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))

    def run() -> None:
        runtime = Runtime(settings)
        try:
            runtime.run(exits)
            runtime.run(works)
        finally:
            runtime.close()

    before = FAILURES.child("jobs", "unexpected")._value.get()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result(60)
    assert FAILURES.child("jobs", "unexpected")._value.get() == before + 1
