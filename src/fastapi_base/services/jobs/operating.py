"""Operators' queries and operations on jobs of any owner. They never return texts of payloads."""

import re
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import NotFound
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.core.security.caller import Origin
from fastapi_base.models.jobs.job import Job
from fastapi_base.schemas.jobs.job import Status
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.jobs import queries
from fastapi_base.services.jobs.ending import wake_relays
from fastapi_base.utils.pagination import first

# UUIDs, dates and times (RFC 3339).
_HARMLESS = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d))?"
)
_SEEN: tuple[Any, ...] = (
    col(Job.id),
    col(Job.state),
    col(Job.kind),
    col(Job.queue),
    col(Job.attempt),
    col(Job.max_attempts),
    col(Job.created_at),
    col(Job.error),
)
_SEEN_OF_ONE: tuple[Any, ...] = (
    *_SEEN,
    col(Job.owner_id),
    col(Job.priority),
    col(Job.order_key),
    col(Job.run_at),
    col(Job.published_at),
    col(Job.started_at),
    col(Job.finished_at),
    col(Job.cancel_requested_at),
    col(Job.request_id),
    col(Job.progress),
    col(Job.result),
)


async def newest(
    connection: AsyncConnection,
    *,
    state: Status | None,
    kind: str | None,
    queue: Queue | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """The newest jobs that match all filters, newest first, up to the limit."""
    statement = select(*_SEEN)
    for column, value in ((Job.kind, kind), (Job.queue, queue)):
        if value is not None:
            statement = statement.where(col(column) == str(value))
    newest_first = first(limit, statement, queries.LISTING, (), queries.branches(state))
    return (await connection.execute(newest_first)).all()


async def one(connection: AsyncConnection, job_id: uuid.UUID) -> Row[Any]:
    """The job. Raises NotFound."""
    statement = select(*_SEEN_OF_ONE).where(col(Job.id) == job_id)
    row = (await connection.execute(statement)).first()
    if row is None:
        raise NotFound("The job does not exist")
    return row


async def failed_by_kind(connection: AsyncConnection, most: int | None = None) -> dict[str, int]:
    """The number of dead letters of each kind that has any; at most `most` of all are counted."""
    failed = select(col(Job.kind)).where(col(Job.state) == "failed").limit(most).subquery()
    statement = (
        select(failed.c.kind, func.count().label("failed"))
        .group_by(failed.c.kind)
        .order_by(failed.c.kind)
    )
    return {row.kind: row.failed for row in await connection.execute(statement)}


async def redacted_payload(connection: AsyncConnection, job_id: uuid.UUID) -> Any:
    """The payload of a job with its texts replaced by their lengths, None for no such job."""
    return _redacted(await connection.scalar(select(col(Job.payload)).where(col(Job.id) == job_id)))


def _redacted(value: Any) -> Any:
    """The value with its texts replaced. Ids and times stay, as operators search for them."""
    if isinstance(value, dict):
        return {name: _redacted(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_redacted(one) for one in value]
    if not isinstance(value, str) or _HARMLESS.fullmatch(value):
        return value
    return f"[text of {len(value)} characters]"


async def retry(
    session: AsyncSession, job_id: uuid.UUID, origin: Origin, *, actor: uuid.UUID | None = None
) -> None:
    """Retry a dead letter or a cancelled job. Raises NotFound and Conflict."""
    await queries.retry(session, job_id, None)
    await record(session, Action.JOB_RETRIED, job_id, origin, actor)


async def cancel(
    session: AsyncSession, job_id: uuid.UUID, origin: Origin, *, actor: uuid.UUID | None = None
) -> Status:
    """Cancel a job; returns `running` if that takes a moment. Raises NotFound and Conflict."""
    job = await queries.cancel(session, job_id, None)
    await record(session, Action.JOB_CANCELLED, job_id, origin, actor)
    return job.status


async def retry_failed(
    session: AsyncSession, kind: str, origin: Origin, *, actor: uuid.UUID | None = None
) -> int:
    """Retry all dead letters of a kind. Returns their number."""
    connection = await session.connection()
    statement = (
        update(Job)
        .where(col(Job.state) == "failed", col(Job.kind) == kind)
        .values(queries.RUN_AGAIN)
    )
    count = (await connection.execute(statement)).rowcount
    if count:
        by = "command" if actor is None else "superuser"
        await audit.record(
            session, Action.JOBS_RETRIED, origin, actor=actor, kind=kind, count=count, by=by
        )
        await wake_relays(session)
    return count


async def record(
    session: AsyncSession,
    action: Action,
    job_id: uuid.UUID,
    origin: Origin,
    actor: uuid.UUID | None = None,
) -> None:
    """Audit an operator's action on a job: by a command or, with `actor`, over HTTP."""
    connection = await session.connection()
    owner = await connection.scalar(select(col(Job.owner_id)).where(col(Job.id) == job_id))
    by = "command" if actor is None else "superuser"
    await audit.record(session, action, origin, actor=actor, subject=owner, job=str(job_id), by=by)
