"""Jobs that run side by side, and one that comes after all of them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Row, select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.models.job import Job
from fastapi_base.services.jobs.enqueue import Enqueued, enqueue
from fastapi_base.services.jobs.kinds import Kind

# The last job is due then, or when a trigger finds that all before it are over.
_NEVER = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class Step[P: BaseModel]:
    """A job that is to be added: its kind and what it is about."""

    kind: Kind[P]
    payload: P


async def enqueue_all(
    session: AsyncSession,
    steps: Sequence[Step[Any]],
    *,
    then: Step[Any],
    owner: uuid.UUID | None = None,
) -> Enqueued:
    """Add jobs, and one that runs once they are all over; the reply is that last one.

    It runs however they ended: `parts` tells its handler what became of each. One that is run again
    by hand is waited for, unless the last one has been let go by then.
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
    """`id`, `kind`, `status`, `result` and `error` of each job that this one came after, in the
    order in which they were added. Those that were removed meanwhile are not among them."""
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
