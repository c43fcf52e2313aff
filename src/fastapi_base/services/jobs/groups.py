"""Jobs that run in parallel, and one that runs after all of them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Row, select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.models.jobs.job import Job
from fastapi_base.services.jobs.enqueue import Enqueued, enqueue
from fastapi_base.services.jobs.kinds import Kind

# The last job's due time until a trigger finds that all jobs before it are finished.
_NEVER = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class Step[P: BaseModel]:
    """A job to add: its kind and its payload."""

    kind: Kind[P]
    payload: P


async def enqueue_all(
    session: AsyncSession,
    steps: Sequence[Step[Any]],
    *,
    then: Step[Any],
    owner: uuid.UUID | None = None,
) -> Enqueued:
    """Enqueue jobs, and one that runs once they are all finished; returns that last one.

    It runs whatever their outcomes: `parts` returns each outcome to its handler. It also waits for
    a job that is retried manually, unless it has been released by then.
    """
    last = await enqueue(
        session, then.kind, then.payload, owner=owner, delay=_NEVER if steps else None
    )
    ids = [(await enqueue(session, step.kind, step.payload, owner=owner)).id for step in steps]
    if ids:
        connection = await session.connection()
        await connection.execute(
            update(Job).where(col(Job.id) == last.id).values(waits_for=len(ids))
        )
        await connection.execute(update(Job).where(col(Job.id).in_(ids)).values(then_id=last.id))
    return last


async def parts(session: AsyncSession, job_id: uuid.UUID) -> Sequence[Row[Any]]:
    """`id`, `kind`, `status`, `result` and `error` of each job that this one waited for.

    They are in the order in which they were added. Jobs removed meanwhile are not included.
    """
    statement = (
        select(
            col(Job.id),
            col(Job.kind),
            col(Job.state).label("status"),
            col(Job.result),
            col(Job.error),
        )
        .where(col(Job.then_id) == job_id)
        .order_by(col(Job.seq))
    )
    connection = await session.connection()
    return (await connection.execute(statement)).all()
