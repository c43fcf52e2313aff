"""Metrics of unfinished jobs, as workers expose them to Prometheus."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import func, text

from fastapi_base.core.config import Settings
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.core.security.caller import Origin
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services.jobs import backlog, timetable
from fastapi_base.services.jobs.firing import turn
from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.services.privacy.purge import SCHEDULE
from fastapi_base.tasks.job_metrics import STATES, JobCollector
from fastapi_base.tasks.schedules import SCHEDULES, schedules
from ops.dev.places import free_port
from tests.integration.jobs.steps import Note, add, change, run, scans_among_finished
from tests.integration.scraping import Scrape

pytestmark = pytest.mark.anyio

MAIL = Kind("mail", Note, queue=Queue.MAIL)


async def scraped(collector: JobCollector) -> Scrape:
    """The collector's samples, collected in a thread as for Prometheus."""
    registry = CollectorRegistry()
    registry.register(collector)
    return Scrape((await asyncio.to_thread(generate_latest, registry)).decode())


async def test_jobs_are_counted_by_queue_and_state(
    database: EngineDatabase, settings: Settings
) -> None:
    collector = JobCollector(settings, pause=0)
    empty = await scraped(collector)
    assert len(empty.samples) == len(Queue) * (len(STATES) + 1) + len(schedules(settings))
    assert {sample.value for sample in empty.samples} == {0}

    await add(database, delay=timedelta(hours=1))
    assert await run(database, settings, (await add(database)).id) == "succeeded"
    failed, running = [(await add(database)).id for _ in range(2)]
    await change(database, failed, state="failed", run_at=func.now() - timedelta(hours=2))
    await change(database, running, state="running", run_at=func.now() - timedelta(hours=2))
    for minutes in (5, 10):
        due = await add(database, kind=MAIL)
        await change(database, due.id, run_at=func.now() - timedelta(minutes=minutes))
    # Published, but started by no worker.
    await change(database, due.id, published_at=func.now())

    seen = await scraped(collector)
    assert {
        (sample.labels["queue"], sample.labels["state"]): sample.value
        for sample in seen.samples
        if sample.name == "jobs_unfinished" and sample.value
    } == {
        (Queue.DEFAULT, "delayed"): 1,
        (Queue.DEFAULT, "running"): 1,
        (Queue.MAIL, "due"): 2,
    }
    age = "jobs_oldest_due_seconds"
    assert 600 <= seen.total(age, queue=Queue.MAIL) < 660
    assert seen.total(age) == seen.total(age, queue=Queue.MAIL)


async def test_neglected_schedules_are_late(database: EngineDatabase, settings: Settings) -> None:
    collector, name = JobCollector(settings, pause=0), "schedule_late_seconds"
    await turn(database, SCHEDULES, timedelta(seconds=1))
    seen = await scraped(collector)
    shown = {one.labels["schedule"] for one in seen.samples if one.name == name}
    assert shown == {"heartbeat", *(schedule.name for schedule in SCHEDULES)}
    assert seen.total(name) == 0
    async with database.transaction() as session:
        connection = await session.connection()
        late = text("UPDATE schedules SET next_at = now() - interval '10 min' WHERE name = :name")
        await connection.execute(late, {"name": "purge"})
        # A schedule of another release, which its Beat handles.
        await connection.execute(
            text("INSERT INTO schedules (name, basis, next_at) VALUES ('old', 'x', 'epoch')")
        )
    seen = await scraped(collector)
    assert 600 <= seen.total(name) == seen.total(name, schedule="purge") < 660
    await change_schedule(database, on=False)
    assert (await scraped(collector)).total(name) == 0


async def change_schedule(database: EngineDatabase, *, on: bool) -> None:
    async with database.transaction() as session:
        await timetable.enable(session, SCHEDULE, Origin(), on=on)


async def test_database_queries_are_rate_limited(
    database: EngineDatabase, settings: Settings
) -> None:
    collector = JobCollector(settings, pause=3600)
    await add(database)
    assert (await scraped(collector)).total("jobs_unfinished") == 1
    await add(database)
    assert (await scraped(collector)).total("jobs_unfinished") == 1


async def test_no_sample_is_reported_while_the_database_is_down(
    make_settings: Callable[[str], Settings],
) -> None:
    away = make_settings(f"postgresql+asyncpg://nobody@127.0.0.1:{free_port()}/none")
    assert (await scraped(JobCollector(away))).samples == []


async def test_finished_jobs_are_not_read(database: EngineDatabase) -> None:
    scans = await scans_among_finished(database, backlog._COUNT, {"most": backlog.MOST})
    assert "Seq Scan" not in {scan["Node Type"] for scan in scans}
    assert sum(scan["Actual Rows"] for scan in scans) == 0


async def test_backlog_count_is_bounded_per_queue_and_priority(
    database: EngineDatabase,
) -> None:
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.execute(
            text("""
                INSERT INTO jobs (id, kind, version, payload, queue, priority, max_attempts, run_at)
                SELECT gen_random_uuid(), 'note', 1, '{}', :queue, 5, 1,
                    now() + (500 - n) * interval '1 minute'
                FROM generate_series(1, 1000) AS n
            """),
            {"queue": Queue.DEFAULT},
        )
        counted = {
            row.state: (row.jobs, row.oldest) for row in await backlog.count(connection, most=7)
        }
    assert counted == {"due": (7, 30_000.0), "delayed": (7, 0.0)}
    scans = await scans_among_finished(database, backlog._COUNT, {"most": 7})
    # Fourteen, and the steps that find the queue and priority.
    assert sum(scan["Actual Rows"] for scan in scans) < 20
