"""One fault again and again while jobs are submitted and run, and what became of each job."""

import asyncio
import random
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import text

from fastapi_base.core.errors import DomainError
from fastapi_base.db.database import Database, EngineDatabase
from fastapi_base.db.engine import create_engine
from fastapi_base.services.jobs.enqueue import enqueue
from ops.chaos.effects import MARK, TABLE, Mark
from ops.chaos.stack import Stack

# How long the last job may take once everything works again, on a busy machine.
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was counted."""

    fault: str
    times: int
    submitted: int
    with_effect: int
    duplicates: int
    seconds: float

    @property
    def well(self) -> bool:
        """Whether each accepted job took effect once."""
        return self.with_effect == self.submitted and self.duplicates == 0


def _kill_worker(stack: Stack, turn: int) -> None:
    name = stack.workers[turn % len(stack.workers)]
    if turn % 2:
        stack.kill(name)
        stack.start(name)
    else:
        stack.kill_child(name)


def _kill_relay(stack: Stack, turn: int) -> None:
    name = stack.relays[turn % len(stack.relays)]
    stack.kill(name)
    stack.start(name)


def _kill_redis(stack: Stack, turn: int) -> None:
    stack.kill("redis")
    stack.start_redis()


def _flush_redis(stack: Stack, turn: int) -> None:
    stack.flush()


def _crash_postgres(stack: Stack, turn: int) -> None:
    # "Immediate shutdown": as a crash is, it recovers from its log at the next start.
    stack.kill("postgres", signal.SIGQUIT)
    stack.start_postgres()


FAULTS: Mapping[str, Callable[[Stack, int], None]] = {
    "kill -9 of a worker": _kill_worker,
    "kill -9 of a relay": _kill_relay,
    "Redis killed, all lost": _kill_redis,
    "Redis FLUSHALL": _flush_redis,
    "PostgreSQL crashes": _crash_postgres,
}


async def under(stack: Stack, fault: str, jobs: int, times: int) -> Outcome:
    """Submit so many jobs while the fault comes so many times, and wait for the last one."""
    engine = create_engine(stack.settings.database, "chaos")
    try:
        return await _under(stack, EngineDatabase(engine), fault, jobs, times)
    finally:
        await engine.dispose()


async def _under(stack: Stack, database: Database, fault: str, jobs: int, times: int) -> Outcome:
    start = time.monotonic()
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.execute(text("DROP TABLE IF EXISTS chaos_effects"))
        await connection.execute(text(TABLE))
    # Jobs come for as long as faults do.
    pause = 1.2 * times / jobs
    submitting = asyncio.create_task(_submit(database, jobs, pause))
    for turn in range(times):
        await asyncio.sleep(random.uniform(0.5, 2))  # noqa: S311
        await asyncio.to_thread(FAULTS[fault], stack, turn)
    accepted = await submitting
    effects = await _effects(database)
    return Outcome(
        fault,
        times,
        len(accepted),
        sum(1 for job_id in accepted if effects.get(job_id)),
        sum(count - 1 for count in effects.values()),
        round(time.monotonic() - start, 1),
    )


async def _submit(database: Database, jobs: int, pause: float) -> list[uuid.UUID]:
    """The ids of the jobs whose commit was confirmed; one that was not is no promise."""
    accepted: list[uuid.UUID] = []
    number = 0
    while len(accepted) < jobs:
        size = min(random.randint(1, 10), jobs - len(accepted))  # noqa: S311
        try:
            async with database.transaction() as session:
                added = [await enqueue(session, MARK, Mark(number=number)) for _ in range(size)]
        except DomainError:
            await asyncio.sleep(0.1)
            continue
        accepted += [job.id for job in added]
        number += size
        await asyncio.sleep(pause * size)
    return accepted


async def _effects(database: Database) -> dict[uuid.UUID, int]:
    """How often each job took effect, once all are over."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    left = text("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')")
    while time.monotonic() < deadline:
        try:
            async with database.read() as connection:
                if not await connection.scalar(left):
                    break
        except DomainError:
            pass
        await asyncio.sleep(0.5)
    async with database.read() as connection:
        rows = await connection.execute(
            text("SELECT job_id, count(*) FROM chaos_effects GROUP BY job_id")
        )
        return {row[0]: int(row[1]) for row in rows}


def table(outcomes: list[Outcome]) -> str:
    """As Markdown."""
    lines = [
        "| fault | times | jobs accepted | with effect | duplicates | seconds |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.fault} | {one.times} | {one.submitted} | {one.with_effect} | {one.duplicates}"
        f" | {one.seconds} |"
        for one in outcomes
    ]
    return "\n".join(lines)
