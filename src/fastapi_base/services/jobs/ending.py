"""How an attempt at a job ends.

Each statement counts only for the attempt that it is about, and not while another worker holds the
job's lock: numbers of attempts come again after a retry.
"""

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from pydantic import BaseModel
from sqlalchemy import BigInteger, bindparam, case, func, select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import Overloaded, Unavailable
from fastapi_base.db.database import Database
from fastapi_base.models.job import CHANNEL, ERROR_LENGTH, Job
from fastapi_base.services.jobs.errors import Lost
from fastapi_base.services.jobs.outbox import lock_key

log = structlog.stdlib.get_logger(__name__)

# How soon a running job learns that its end was asked for.
WATCH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt at a job. `waited` is seconds since it was due, `age` since it was added."""

    id: uuid.UUID
    kind: str
    version: int
    payload: dict[str, Any]
    owner_id: uuid.UUID | None
    order_key: str | None
    attempt: int
    max_attempts: int
    cancelled: bool
    waited: float
    age: float


# Of an attempt: see _whose.
_MINE = (
    update(Job)
    .where(
        col(Job.id) == bindparam("job"),
        col(Job.state) == "running",
        col(Job.attempt) == bindparam("begun"),
        func.pg_try_advisory_xact_lock(bindparam("key", type_=BigInteger)),
    )
    .returning(col(Job.id))
)


def over(state: str) -> dict[str, Any]:
    """What changes in any job that is over."""
    kept = col(Job.unique_until).is_not(None)
    return {
        "state": state,
        "finished_at": func.clock_timestamp(),
        "unique_key": case((kept, col(Job.unique_key)), else_=None),
    }


# Made once: nearly every job ends so.
_SUCCEEDED = _MINE.values({**over("succeeded"), "result": bindparam("told"), "error": None})
_SUCCEEDED_IN_PRIVATE = _SUCCEEDED.values(payload={})


async def succeeded(
    session: AsyncSession, claim: Claim, result: BaseModel | None, *, private: bool
) -> None:
    """Mark the job as done, in the transaction of its effect. Raises Lost when it is another's."""
    told = None if result is None else result.model_dump(mode="json")
    statement = _SUCCEEDED_IN_PRIVATE if private else _SUCCEEDED
    connection = await session.connection()
    changed = await connection.execute(statement, {**_whose(claim), "told": told})
    if changed.first() is None:
        raise Lost
    if claim.order_key is not None:
        await wake_relays(session)


async def again(
    database: Database, claim: Claim, why: str, pause: float, *, counts: bool = True
) -> Literal["retried"]:
    """Have the job begun again after so many seconds, as if it had not been where it counts not."""
    log.info("job is tried again", reason=why, seconds=round(pause, 1))
    wait = func.make_interval(0, 0, 0, 0, 0, 0, pause)
    values = {
        "state": "queued",
        "run_at": func.now() + wait,
        "attempt": claim.attempt if counts else claim.attempt - 1,
        "published_at": None,
        "publishes": 0,
        "error": why[:ERROR_LENGTH],
    }
    async with database.transaction() as session:
        await _change(session, claim, values)
    return "retried"


async def failed(database: Database, claim: Claim, why: str) -> Literal["failed"]:
    """Lay the job aside as one that failed for good. It can be run again."""
    log.warning("job given up", reason=why)
    values = {**over("failed"), "error": why[:ERROR_LENGTH]}
    return await _end(database, claim, values, "failed")


async def cancelled(database: Database, claim: Claim) -> Literal["cancelled"]:
    """Mark the job as ended on request. Nothing of this attempt's transaction took effect."""
    log.info("job cancelled")
    return await _end(database, claim, over("cancelled"), "cancelled")


async def end_asked_for(database: Database, claim: Claim) -> None:
    """Returns when the job's end is asked for, and never otherwise."""
    asked = select(col(Job.cancel_requested_at)).where(col(Job.id) == claim.id)
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        try:
            async with database.read() as connection:
                if await connection.scalar(asked) is not None:
                    return
        except (Unavailable, Overloaded):
            continue


async def wake_relays(session: AsyncSession) -> None:
    """Have relays look for jobs when the transaction is committed."""
    connection = await session.connection()
    await connection.execute(select(func.pg_notify(CHANNEL, "")))


async def _end[S](database: Database, claim: Claim, values: dict[str, Any], outcome: S) -> S:
    async with database.transaction() as session:
        await _change(session, claim, values)
        if claim.order_key is not None:
            await wake_relays(session)
    return outcome


async def _change(session: AsyncSession, claim: Claim, values: dict[str, Any]) -> None:
    connection = await session.connection()
    await connection.execute(_MINE.values(values), _whose(claim))


def _whose(claim: Claim) -> dict[str, Any]:
    return {"job": claim.id, "begun": claim.attempt, "key": lock_key(claim.id)}
