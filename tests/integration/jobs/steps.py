"""Steps of the tests of jobs."""

import uuid
from collections.abc import Mapping
from typing import Any

import httpx2
from pydantic import BaseModel
from sqlalchemy import Row, select, text, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

import fastapi_base.tasks.handlers  # noqa: F401  fills HANDLERS
from fastapi_base.core.config import Settings
from fastapi_base.db.database import Database
from fastapi_base.models import Job
from fastapi_base.services.jobs.context import Handler, JobContext, Work
from fastapi_base.services.jobs.enqueue import Enqueued, enqueue
from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.services.jobs.runner import Outcome, Runner
from fastapi_base.tasks.running import HANDLERS


class Note(BaseModel):
    """What the jobs of these tests are about."""

    text: str = "x"


NOTE = Kind("note", Note, attempts=3)


async def write(session: AsyncSession, job_id: uuid.UUID, note: str) -> None:
    """An effect, in the session's transaction."""
    connection = await session.connection()
    await connection.execute(
        text("INSERT INTO effects VALUES (:job, :note)"), {"job": job_id, "note": note}
    )


async def work(job: JobContext, payload: Note) -> Note:
    """Has one effect, by the job's own transaction."""
    await write(job.session, job.id, payload.text)
    return payload


async def effects(database: Database) -> list[str]:
    """The notes of all effects, in the order of the alphabet."""
    async with database.read() as connection:
        return list(await connection.scalars(text("SELECT note FROM effects ORDER BY note")))


async def add(database: Database, note: str = "x", kind: Kind[Note] = NOTE, **how: Any) -> Enqueued:
    """A job, committed."""
    async with database.transaction() as session:
        return await enqueue(session, kind, Note(text=note), **how)


async def row(database: Database, job_id: uuid.UUID) -> Row[Any]:
    """The job as it is stored."""
    async with database.read() as connection:
        return (await connection.execute(select(Job.__table__).where(col(Job.id) == job_id))).one()  # type: ignore[attr-defined]


async def change(database: Database, job_id: uuid.UUID, **values: Any) -> None:
    """Change the job as it is stored."""
    async with database.transaction() as session:
        await session.exec(update(Job).where(col(Job.id) == job_id).values(**values))


async def run(
    database: Database,
    settings: Settings,
    job_id: uuid.UUID,
    does: Work[Note] = work,
    kind: Kind[Note] = NOTE,
) -> Outcome:
    """Run the job as a worker does; what became of it."""
    handlers = {kind.name: Handler(kind, does)}
    return (await Runner(database, settings, handlers).run(job_id)).outcome


async def work_off(
    database: Database,
    settings: Settings,
    reply: httpx2.Response,
    handlers: Mapping[str, Handler[Any]] = HANDLERS,
) -> Row[Any]:
    """Do what a request asked for, as workers do it; the job as it is then."""
    assert reply.status_code == 202, reply.text
    job_id = uuid.UUID(reply.json()["id"])
    assert reply.headers["location"] == f"/api/v1/jobs/{job_id}"
    await Runner(database, settings, handlers).run(job_id)
    return await row(database, job_id)


async def plan_among_finished(database: Database, statement: str) -> str:
    """How PostgreSQL would run the statement with five thousand jobs that are over."""
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.execute(
            text("""
                INSERT INTO jobs (id, kind, version, payload, queue, priority, max_attempts, state)
                SELECT gen_random_uuid(), 'note', 1, '{}', 'q', 3, 1, 'succeeded'
                FROM generate_series(1, 5000)
            """)
        )
        await connection.execute(text("ANALYZE jobs"))
        return "\n".join(await connection.scalars(text(f"EXPLAIN {statement}")))
