"""Unexpected failures in a worker are reported without personal data, before it exits."""

from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from redis.asyncio import Redis
from sqlalchemy import update
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.core.messaging.publisher import REQUEST_ID_HEADER, celery_app
from fastapi_base.core.messaging.queues import task_name
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import Database, EngineDatabase
from fastapi_base.models import Job
from fastapi_base.services.jobs.enqueue import enqueue
from ops.measure.bench.collector import receiving
from tests.integration.faulty import (
    BROKEN,
    BROKEN_TASK,
    EXPECTED,
    REFUSED_TASK,
    SECRETS,
    Note,
)
from tests.integration.processes import CELERY, RELAY, running
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
async def test_unexpected_failures_are_reported_and_expected_ones_are_not(
    tmp_path: Path,
    redis: Redis,
    redis_url: str,
    make_settings: Callable[[str], Settings],
    fresh_database_url: str,
    pool: str,
) -> None:
    settings = make_settings(fresh_database_url)
    shared = {"DATABASE_URL": fresh_database_url, "REDIS_URL": redis_url, "LOG_FORMAT": "json"}
    log = tmp_path / "worker.log"
    # So slow that the last report is still pending when the worker is told to stop.
    with receiving(pause=2.5) as received:
        worker = running(
            (*CELERY, "worker", "--include=tests.integration.faulty", f"--pool={pool}"),
            log,
            **shared,
            ENVIRONMENT="test",
            IMAGE_DIGEST="sha256:feed",
            SENTRY_DSN=received.dsn,
            TRACING_ENDPOINT=received.traces_url,
            TRACING_SAMPLE="0",
            CELERY_CONCURRENCY="1",
        )
        engine = create_engine(settings.database)
        client = celery_app("test", settings)
        await add_jobs(EngineDatabase(engine))
        client.send_task(REFUSED_TASK)

        async def ended(count: int) -> None:
            async def logged() -> bool | None:
                return True if log.read_text().count('"task ended"') == count else None

            await until(logged, f"{count} tasks have ended", 90)

        with running(RELAY, tmp_path / "relay.log", **shared), worker:
            await ended(len(EXPECTED) + 2)
            headers = {REQUEST_ID_HEADER: "report-my-task"}
            client.send_task(BROKEN_TASK, args=[SECRETS[2]], headers=headers)
            await ended(len(EXPECTED) + 3)
        client.close()
        await engine.dispose()

    events = {event["exception"]["values"][-1]["type"]: event for event in received.events}
    assert len(received.events) == len(events) == 2
    job, task = events["RuntimeError"], events["LookupError"]
    for event in (job, task):
        assert event["release"] == "fastapi-base@0.1.0+sha256:feed"
        assert event["environment"] == "test"
    assert job["exception"]["values"][-1]["value"] == "no luck with [redacted], Bearer [redacted]"
    assert job["tags"] | {"task_id": ""} == {
        "request_id": "report-my-job",
        "trace_id": TRACE,
        "task": task_name(BROKEN.name),
        "task_id": "",
        "attempt": "1 of 1",
    }
    assert task["exception"]["values"][-1]["value"] == "password=[redacted]"
    assert task["tags"]["request_id"] == "report-my-task"
    assert task["tags"]["task"] == BROKEN_TASK
    for secret in SECRETS:
        assert not [body for body in received.raw if secret.encode() in body], secret


async def add_jobs(database: Database) -> None:
    """One job that breaks, as part of a request and a trace, and jobs that fail as expected."""
    async with database.transaction() as session:
        with structlog.contextvars.bound_contextvars(request_id="report-my-job"):
            broken = await enqueue(session, BROKEN, Note())
        trace = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        await session.exec(update(Job).where(col(Job.id) == broken.id).values(trace=trace))
        for kind in EXPECTED.values():
            await enqueue(session, kind, Note())
