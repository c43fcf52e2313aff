"""Adds jobs, in the transaction of the change they belong to."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from pydantic import BaseModel
from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.ids import uuid7
from fastapi_base.core.messaging.queues import task_name
from fastapi_base.core.observability import tracing
from fastapi_base.models.jobs.job import Job
from fastapi_base.services.jobs.kinds import Kind, Priority


@dataclass(frozen=True, slots=True)
class Unique:
    """At most one job has the key: until that job is finished, or for `window` from now on."""

    key: str
    window: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The job for this request; `fresh` if it was created by it."""

    id: uuid.UUID
    created_at: datetime
    fresh: bool


async def enqueue[P: BaseModel](
    session: AsyncSession,
    kind: Kind[P],
    payload: P,
    *,
    owner: uuid.UUID | None = None,
    delay: timedelta | None = None,
    unique: Unique | None = None,
    order_key: str | None = None,
    priority: Priority | None = None,
) -> Enqueued:
    """Add a job that runs after the session's transaction commits, and never without it.

    `delay` postpones its first run. Jobs with the same `order_key` run one after another in the
    order in which they were added, if each was committed before the next was added; a dead letter
    does not block the next. If a job with the `unique` key exists, no other is added, and that job
    is returned.
    """
    now = datetime.now(UTC)
    job_id = uuid7()
    values: dict[str, Any] = {
        "id": job_id,
        "kind": kind.name,
        "version": kind.version,
        "payload": payload.model_dump(mode="json"),
        "queue": str(kind.queue),
        "priority": int(kind.priority if priority is None else priority),
        "owner_id": owner,
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
        "order_key": order_key,
        "max_attempts": kind.attempts,
        "created_at": now,
    }
    with tracing.sending(task_name(kind.name), str(job_id)) as carried:
        values["trace"] = carried or None
        return await _add(session, values, delay, unique, now)


async def _add(
    session: AsyncSession,
    values: dict[str, Any],
    delay: timedelta | None,
    unique: Unique | None,
    now: datetime,
) -> Enqueued:
    # PostgreSQL's clock decides when a job is due, and until when a key is unique.
    if delay is not None:
        values["run_at"] = func.now() + delay
    if unique is None:
        await session.exec(insert(Job).values(**values))
        return Enqueued(values["id"], now, fresh=True)
    values["unique_key"] = unique.key
    values["unique_until"] = func.now() + unique.window if unique.window else None
    return await _add_unique(session, unique.key, values, now)


async def _add_unique(
    session: AsyncSession, key: str, values: dict[str, Any], now: datetime
) -> Enqueued:
    has_key = col(Job.unique_key) == key
    expired = col(Job.unique_until) <= func.now()
    statement = (
        insert(Job)
        .values(**values)
        .on_conflict_do_nothing(
            index_elements=[col(Job.unique_key)], index_where=col(Job.unique_key).is_not(None)
        )
        .returning(col(Job.id))
    )
    connection = await session.connection()
    while True:
        await connection.execute(update(Job).where(has_key, expired).values(unique_key=None))
        added = await connection.scalar(statement)
        if added is not None:
            return Enqueued(added, now, fresh=True)
        # Another job holds the key but may finish between the two statements: then try again.
        whose = select(col(Job.id), col(Job.created_at)).where(
            has_key, or_(col(Job.unique_until).is_(None), col(Job.unique_until) > func.now())
        )
        row = (await connection.execute(whose)).first()
        if row is not None:
            return Enqueued(row.id, row.created_at, fresh=False)
