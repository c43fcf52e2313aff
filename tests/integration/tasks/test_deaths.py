"""Jobs that kill their processes, and killed workers: innocent jobs are not blamed."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis.asyncio import Redis
from sqlalchemy import Row, text

from fastapi_base.core.config import Settings
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services.jobs.enqueue import enqueue
from fastapi_base.services.jobs.kinds import Kind, Priority
from ops.dev import guard
from ops.measure.chaos.effects import POISON, Poison
from tests.integration.gate import GATE, Gate
from tests.integration.processes import CELERY, RELAY, environment, running
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

WORKER = (*CELERY, "worker", "--include=tests.integration.gate,ops.measure.chaos.effects")
_ROWS = text("""
    SELECT id, kind, queue, state, attempt, deaths, crashes, suspect, error, finished_at FROM jobs
""")


class Jobs:
    """The jobs of a test, and their outcomes."""

    def __init__(self, database: EngineDatabase, folder: Path) -> None:
        self._database = database
        self.gate = folder / "gate"

    async def add(self, count: int, *, kind: Kind[Gate] = GATE, **how: Any) -> list[uuid.UUID]:
        """Add jobs that wait at the gate."""
        gate = Gate(path=str(self.gate))
        async with self._database.transaction() as session:
            return [(await enqueue(session, kind, gate, **how)).id for _ in range(count)]

    async def poison(self) -> uuid.UUID:
        """Add a job that kills its process."""
        async with self._database.transaction() as session:
            return (await enqueue(session, POISON, Poison())).id

    async def rows(self) -> dict[uuid.UUID, Row[Any]]:
        """All jobs as stored."""
        async with self._database.read() as connection:
            return {row.id: row for row in await connection.execute(_ROWS)}

    async def until(self, ids: list[uuid.UUID], column: str, value: object) -> None:
        """Wait until the condition holds for all of these."""

        async def so() -> bool | None:
            rows = await self.rows()
            return all(getattr(rows[one], column) == value for one in ids) or None

        await until(so, f"{column} is {value}", 120)


@pytest.fixture
async def jobs(
    make_settings: Callable[[str], Settings], fresh_database_url: str, tmp_path: Path
) -> AsyncIterator[Jobs]:
    engine = create_engine(make_settings(fresh_database_url).database)
    yield Jobs(EngineDatabase(engine), tmp_path)
    await engine.dispose()


@pytest.fixture
def given(fresh_database_url: str, redis: Redis, redis_url: str) -> dict[str, str]:
    """Settings for the project's programs."""
    return {
        "DATABASE_URL": fresh_database_url,
        "REDIS_URL": redis_url,
        "LOG_FORMAT": "json",
        "JOBS_LEASE_SECONDS": "5",
    }


@pytest.mark.parametrize(
    ("pool", "beside"),
    [("threads", 7), ("prefork", 1), ("solo", 0)],
)
async def test_job_that_kills_its_process_fails_no_other_job(
    jobs: Jobs, given: dict[str, str], tmp_path: Path, pool: str, beside: int
) -> None:
    worker = (*WORKER, f"--pool={pool}", f"--concurrency={beside + 1}")
    # Both must still run at the end.
    with (
        running(RELAY, tmp_path / "relay.log", **given),
        running(worker, tmp_path / "worker.log", **given),
    ):
        healthy = await jobs.add(beside)
        await jobs.until(healthy, "state", "running")
        poison = await jobs.poison()
        await jobs.until([poison], "suspect", True)
        await asyncio.to_thread(jobs.gate.touch)
        healthy += await jobs.add(1)
        await jobs.until(healthy, "state", "succeeded")
        await jobs.until([poison], "state", "failed")
        rows = await jobs.rows()
    assert {rows[one].attempt for one in healthy} == {1}
    assert {rows[one].crashes for one in healthy} == {0}
    assert (rows[poison].attempt, rows[poison].crashes) == (POISON.attempts, POISON.attempts)
    assert rows[poison].error == "the worker died: SIGKILL"


async def test_worker_killed_during_shutdown_leaves_no_suspects(
    jobs: Jobs, given: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with running(RELAY, tmp_path / "relay.log", **given):
        with guard.process(
            (*WORKER, "--pool=threads", "--concurrency=2"),
            log,
            signal.SIGKILL,
            environ=environment(**given),
            cwd=tmp_path,
        ) as process:
            mine = await jobs.add(2)
            await jobs.until(mine, "state", "running")
            process.terminate()
            await jobs.until(mine, "deaths", -1)
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
            for one in family:
                one.kill()
        await asyncio.to_thread(jobs.gate.touch)
        with running((*WORKER, "--concurrency=1"), tmp_path / "second.log", **given):
            await jobs.until(mine, "state", "succeeded")
        rows = await jobs.rows()
    assert {(rows[one].attempt, rows[one].suspect) for one in mine} == {(1, False)}


async def test_urgent_job_and_other_queue_do_not_wait_for_a_backlog(
    jobs: Jobs, given: dict[str, str], tmp_path: Path
) -> None:
    """From PostgreSQL through the relay and Redis to a worker that consumes all queues."""
    jobs.gate.touch()
    bulk = Kind(GATE.name, Gate, queue=Queue.BULK)
    await jobs.add(2000, priority=Priority.BACKGROUND)
    await jobs.add(2000, kind=bulk)
    worker = (*WORKER, "--concurrency=1")
    with (
        running(RELAY, tmp_path / "relay.log", **given),
        running(worker, tmp_path / "worker.log", **given),
    ):

        async def some() -> bool | None:
            done = [row for row in (await jobs.rows()).values() if row.state == "succeeded"]
            return True if len(done) >= 50 else None

        await until(some, "the worker completes 50 jobs", 120)
        before = sum(row.state == "succeeded" for row in (await jobs.rows()).values())
        mine = [*await jobs.add(1, priority=Priority.URGENT), *await jobs.add(1)]
        await jobs.until(mine, "state", "succeeded")
        rows = await jobs.rows()
    last = max(rows[one].finished_at for one in mine)
    first = [row for row in rows.values() if row.finished_at and row.finished_at <= last]
    # Of four thousand that were there before them.
    assert len(first) - before < 400
