"""What callers see of jobs, and what they may change."""

import uuid
from typing import Any

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import Conflict, NotFound
from fastapi_base.models.job import Job
from fastapi_base.schemas.job import JobFilter, JobRead
from fastapi_base.services.jobs.ending import wake_relays
from fastapi_base.utils.pagination import Listing, Page, PageQuery, fetch

LISTING = Listing(
    "jobs",
    col(Job.id),
    {"created_at": col(Job.created_at)},
    default="-created_at",
)
SHOWN: tuple[Any, ...] = (
    col(Job.id),
    col(Job.kind),
    col(Job.state).label("status"),
    col(Job.created_at),
    col(Job.run_at),
    col(Job.started_at),
    col(Job.finished_at),
    col(Job.attempt),
    col(Job.progress),
    col(Job.result),
    col(Job.error),
)


def _whose(owner: uuid.UUID | None) -> list[ColumnElement[bool]]:
    return [] if owner is None else [col(Job.owner_id) == owner]


async def get(connection: AsyncConnection, job_id: uuid.UUID, owner: uuid.UUID | None) -> JobRead:
    """The job. Raises NotFound, also when it is not this owner's; None may see all."""
    statement = select(*SHOWN).where(col(Job.id) == job_id, *_whose(owner))
    row = (await connection.execute(statement)).first()
    if row is None:
        raise NotFound("There is no such job")
    return JobRead.model_validate(row)


async def listed(
    connection: AsyncConnection, owner: uuid.UUID | None, chosen: JobFilter, query: PageQuery
) -> Page[JobRead]:
    """One page of an owner's jobs; None sees all."""
    statement = select(*SHOWN).where(*_whose(owner))
    if chosen.status is not None:
        statement = statement.where(col(Job.state) == chosen.status)
    if chosen.kind is not None:
        statement = statement.where(col(Job.kind) == chosen.kind)
    if chosen.created_from is not None:
        statement = statement.where(col(Job.created_at) >= chosen.created_from)
    if chosen.created_before is not None:
        statement = statement.where(col(Job.created_at) < chosen.created_before)
    return await fetch(connection, statement, query, JobRead.model_validate)


async def cancel(session: AsyncSession, job_id: uuid.UUID, owner: uuid.UUID | None) -> JobRead:
    """End the job: at once when it waits, within about a second when it runs.

    Asked for again it changes nothing. Raises NotFound, and Conflict when it ended by itself.
    """
    waits = col(Job.state) == "queued"
    statement = (
        update(Job)
        .where(col(Job.id) == job_id, col(Job.state).in_(["queued", "running"]), *_whose(owner))
        .values(
            state=case((waits, "cancelled"), else_=col(Job.state)),
            finished_at=case((waits, func.now()), else_=None),
            unique_key=case(
                (waits & col(Job.unique_until).is_(None), None), else_=col(Job.unique_key)
            ),
            cancel_requested_at=func.coalesce(col(Job.cancel_requested_at), func.now()),
        )
    )
    connection = await session.connection()
    changed = (await connection.execute(statement)).rowcount
    job = await get(connection, job_id, owner)
    if not changed and job.status != "cancelled":
        raise Conflict(f"The job is over: {job.status}")
    await wake_relays(session)
    return job


async def retry(session: AsyncSession, job_id: uuid.UUID, owner: uuid.UUID | None) -> JobRead:
    """Run a job again that failed for good or was cancelled, with all its attempts before it.

    Raises NotFound, and Conflict for a job of another state.
    """
    statement = (
        update(Job)
        .where(col(Job.id) == job_id, col(Job.state).in_(["failed", "cancelled"]), *_whose(owner))
        .values(RUN_AGAIN)
    )
    connection = await session.connection()
    changed = (await connection.execute(statement)).rowcount
    job = await get(connection, job_id, owner)
    if not changed:
        raise Conflict(f"Only jobs that failed or were cancelled are run again: {job.status}")
    await wake_relays(session)
    return job


# Attempts are counted anew, so that each retry has as many as the first. A worker that still holds
# an old one of the same number is kept out by the lock of who holds the new (ending.py).
RUN_AGAIN: dict[str, Any] = {
    "state": "queued",
    # Unless it waits for others.
    "run_at": case((col(Job.waits_for) > 0, col(Job.run_at)), else_=func.now()),
    "attempt": 0,
    "published_at": None,
    "publishes": 0,
    "finished_at": None,
    "cancel_requested_at": None,
    "progress": None,
}
