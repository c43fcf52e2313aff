"""Shared steps of the job tests."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx2
from pydantic import BaseModel
from sqlalchemy import Row, TextClause, select, text, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

import fastapi_base.tasks.handlers  # noqa: F401  fills HANDLERS
from fastapi_base.core.config import Settings
from fastapi_base.db.session import Database
from fastapi_base.models import Job
from fastapi_base.services.jobs import outbox
from fastapi_base.services.jobs.context import Handler, JobContext, Work
from fastapi_base.services.jobs.ending import Claim
from fastapi_base.services.jobs.enqueue import Enqueued, enqueue
from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.services.jobs.runner import Outcome, Runner
from fastapi_base.tasks.running import HANDLERS


class Note(BaseModel):
    """The payload of the jobs in these tests."""

    text: str = "x"


LIMITS = outbox.Limits(batch=200, window=200, apart=2)

NOTE = Kind("note", Note, attempts=3)


async def write(session: AsyncSession, job_id: uuid.UUID, note: str) -> None:
    """Write an effect in the session's transaction."""
    connection = await session.connection()
    await connection.execute(
        text("INSERT INTO effects VALUES (:job, :note)"), {"job": job_id, "note": note}
    )


async def work(job: JobContext, payload: Note) -> Note:
    """Has one effect, in the job's own transaction."""
    await write(job.session, job.id, payload.text)
    return payload


async def effects(database: Database) -> list[str]:
    """The notes of all effects, in alphabetical order."""
    async with database.read() as connection:
        return list(await connection.scalars(text("SELECT note FROM effects ORDER BY note")))


async def add(database: Database, note: str = "x", kind: Kind[Note] = NOTE, **how: Any) -> Enqueued:
    """Add a job and commit it."""
    async with database.transaction() as session:
        return await enqueue(session, kind, Note(text=note), **how)


async def take(database: Database, batch: int = 200) -> list[outbox.Message]:
    """The jobs that a relay takes."""
    return await outbox.take(database, replace(LIMITS, batch=batch))


async def row(database: Database, job_id: uuid.UUID) -> Row[Any]:
    """The stored job."""
    async with database.read() as connection:
        return (await connection.execute(select(Job.__table__).where(col(Job.id) == job_id))).one()  # type: ignore[attr-defined]


async def change(database: Database, job_id: uuid.UUID, **values: Any) -> None:
    """Update the stored job."""
    async with database.transaction() as session:
        await session.exec(update(Job).where(col(Job.id) == job_id).values(**values))


async def change_all(database: Database, **values: Any) -> None:
    """Update all stored jobs."""
    async with database.transaction() as session:
        await session.exec(update(Job).values(**values))


async def run(
    database: Database,
    settings: Settings,
    job_id: uuid.UUID,
    does: Work[Note] = work,
    kind: Kind[Note] = NOTE,
    *,
    apart: bool = False,
) -> Outcome:
    """Run the job as a worker does, or as its separate process does; returns the outcome."""
    handlers = {kind.name: Handler(kind, does)}
    claims: list[Claim] = []
    runner = Runner(database, settings, handlers, claims.append if apart else None)
    return (await runner.run(job_id)).outcome


async def work_off(
    database: Database,
    settings: Settings,
    reply: httpx2.Response,
    handlers: Mapping[str, Handler[Any]] = HANDLERS,
) -> Row[Any]:
    """Run the job that a request added, as workers do; returns the resulting job."""
    assert reply.status_code == 202, reply.text
    job_id = uuid.UUID(reply.json()["id"])
    assert reply.headers["location"] == f"/api/v1/jobs/{job_id}"
    await Runner(database, settings, handlers).run(job_id)
    return await row(database, job_id)


async def all_ids(database: Database) -> list[uuid.UUID]:
    """The IDs of all jobs."""
    async with database.read() as connection:
        return list(await connection.scalars(select(col(Job.id))))


_FINISHED = text("""
    INSERT INTO jobs (id, kind, version, payload, queue, priority, max_attempts, state)
    SELECT gen_random_uuid(), 'note', 1, '{}', 'q', 3, 1, 'succeeded' FROM generate_series(1, 5000)
""")


async def scans_among_finished(
    database: Database, statement: TextClause, values: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What PostgreSQL read of jobs for the statement, among five thousand finished ones."""
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.execute(_FINISHED)
        await connection.execute(text("ANALYZE jobs"))
        explained = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.text}")
        (plan,) = await connection.scalar(explained, values)
    return list(_scans(plan["Plan"]))


_OF_RESULTS = ("CTE Scan", "Subquery Scan", "WorkTable Scan", "Function Scan")


def _scans(node: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "Scan" in node["Node Type"] and node["Node Type"] not in _OF_RESULTS:
        yield {"Index Name": None, **node}
    for part in node.get("Plans", ()):
        yield from _scans(part)
