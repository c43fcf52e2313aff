"""Callers' queries and operations on jobs."""

import uuid
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, bindparam, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import Conflict, NotFound
from fastapi_base.models.jobs.job import STATES, Job
from fastapi_base.schemas.jobs.job import JobFilter, JobRead, Status
from fastapi_base.services.jobs.ending import wake_relays
from fastapi_base.utils.pagination import CompiledListing, Listing, Page, PageQuery
from fastapi_base.utils.statements import StatementRunner

LISTING = Listing(
    "jobs",
    col(Job.id),
    {"created_at": col(Job.created_at)},
    default="-created_at",
    ranges={"created_from": "created_at", "created_before": "created_at"},
)
_READ = TypeAdapter(list[JobRead])
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
    """The job. Raises NotFound also for another owner's job; owner None may see all."""
    statement = select(*SHOWN).where(col(Job.id) == job_id, *_whose(owner))
    row = (await connection.execute(statement)).first()
    if row is None:
        raise NotFound("The job does not exist")
    return JobRead.model_validate(row)


_NARROWING: dict[str, ColumnElement[bool]] = {
    "owner": col(Job.owner_id) == bindparam("owner"),
    "kind": col(Job.kind) == bindparam("kind"),
    "created_from": col(Job.created_at) >= bindparam("created_from"),
    "created_before": col(Job.created_at) < bindparam("created_before"),
}


@cache
def _compiled(narrowing: frozenset[str], state: Status | None) -> CompiledListing:
    """The list, compiled once per set of filters."""
    conditions = (_NARROWING[name] for name in sorted(narrowing))
    return CompiledListing(select(*SHOWN).where(*conditions), branches(state))


async def listed(
    database: StatementRunner, owner: uuid.UUID | None, chosen: JobFilter, query: PageQuery
) -> Page[JobRead]:
    """One page of an owner's jobs, or of all jobs if `owner` is None."""
    filters = {
        "owner": owner,
        "kind": chosen.kind,
        "created_from": chosen.created_from,
        "created_before": chosen.created_before,
    }
    given = {name: value for name, value in filters.items() if value is not None}
    listing = _compiled(frozenset(given), chosen.status)
    return await listing.fetch(database, given, query, _READ.validate_python)


def branches(state: Status | None) -> list[ColumnElement[bool]]:
    """One condition per state: the indexes of lists start with the state."""
    return [col(Job.state) == one for one in (STATES if state is None else (state,))]


async def cancel(session: AsyncSession, job_id: uuid.UUID, owner: uuid.UUID | None) -> JobRead:
    """Cancel the job: at once if it waits, within about a second if it runs.

    Idempotent. Raises NotFound, and Conflict if the job has finished.
    """
    statement = (
        update(Job)
        .where(col(Job.id) == job_id, col(Job.state).in_(["queued", "running"]), *_whose(owner))
        .values(END)
    )
    connection = await session.connection()
    changed = (await connection.execute(statement)).rowcount
    job = await get(connection, job_id, owner)
    if not changed and job.status != "cancelled":
        raise Conflict(f"The job is already finished: {job.status}")
    await wake_relays(session)
    return job


async def cancel_all(session: AsyncSession, owner: uuid.UUID) -> None:
    """Cancel all unfinished jobs of an owner, as `cancel` does."""
    mine = (col(Job.owner_id) == owner, col(Job.state).in_(["queued", "running"]))
    await session.exec(update(Job).where(*mine).values(END))
    await wake_relays(session)


async def retry(session: AsyncSession, job_id: uuid.UUID, owner: uuid.UUID | None) -> JobRead:
    """Retry a dead letter or a cancelled job, with a full set of attempts.

    Raises NotFound, and Conflict for a job in another state.
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
        raise Conflict(f"Only failed or cancelled jobs can be retried; the job is {job.status}")
    await wake_relays(session)
    return job


_WAITS = col(Job.state) == "queued"
END: dict[str, Any] = {
    "state": case((_WAITS, "cancelled"), else_=col(Job.state)),
    "finished_at": case((_WAITS, func.now()), else_=None),
    "unique_key": case((_WAITS & col(Job.unique_until).is_(None), None), else_=col(Job.unique_key)),
    "cancel_requested_at": func.coalesce(col(Job.cancel_requested_at), func.now()),
}
# Attempts restart from zero, so that each retry has as many as the first run. The advisory lock
# keeps out a worker with an old attempt of the same number (ending.py).
RUN_AGAIN: dict[str, Any] = {
    "state": "queued",
    # Unless it waits for other jobs.
    "run_at": case((col(Job.waits_for) > 0, col(Job.run_at)), else_=func.now()),
    "attempt": 0,
    "deaths": 0,
    "crashes": 0,
    "published_at": None,
    "publishes": 0,
    "finished_at": None,
    "cancel_requested_at": None,
    "progress": None,
}
