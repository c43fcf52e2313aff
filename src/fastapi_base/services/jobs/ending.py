"""How an attempt at a job ends.

Each statement applies only to its own attempt, and not while another worker holds the job's lock:
attempt numbers recur after a retry.
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

from fastapi_base.db.failures import UNAVAILABLE
from fastapi_base.db.session import Database
from fastapi_base.models.jobs.job import CHANNEL, ERROR_LENGTH, Job
from fastapi_base.services.jobs.errors import Lost
from fastapi_base.services.jobs.outbox import lock_key

log = structlog.stdlib.get_logger(__name__)

# The interval at which a running job checks for cancellation.
WATCH_SECONDS = 1.0
# How many times the end of an attempt is written while the database is unavailable, and the seconds
# between.
WRITES, WRITES_PAUSE = 30, 1.0


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt at a job. `waited`: seconds since it was due; `age`: since it was enqueued."""

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


# The row of an attempt: see _whose.
_MINE = (
    update(Job)
    .where(
        col(Job.id) == bindparam("job"),
        col(Job.state) == "running",
        col(Job.attempt) == bindparam("claimed_attempt"),
        func.pg_try_advisory_xact_lock(bindparam("key", type_=BigInteger)),
    )
    .returning(col(Job.id))
)


def finished(state: str) -> dict[str, Any]:
    """The column values of a finished job."""
    kept = col(Job.unique_until).is_not(None)
    return {
        "state": state,
        "finished_at": func.clock_timestamp(),
        "unique_key": case((kept, col(Job.unique_key)), else_=None),
    }


def queued(pause: float) -> dict[str, Any]:
    """The column values of a job that is due again after `pause` seconds."""
    return {
        "state": "queued",
        "run_at": func.now() + func.make_interval(0, 0, 0, 0, 0, 0, pause),
        "published_at": None,
        "publishes": 0,
        "deaths": 0,
    }


# Compiled once: nearly every job ends this way.
_SUCCEEDED = _MINE.values({**finished("succeeded"), "result": bindparam("document"), "error": None})
_SUCCEEDED_IN_PRIVATE = _SUCCEEDED.values(payload={})


async def succeeded(
    session: AsyncSession, claim: Claim, result: BaseModel | None, *, private: bool
) -> None:
    """Mark the job as done in the transaction of its effect. Raises Lost if taken over."""
    document = None if result is None else result.model_dump(mode="json")
    statement = _SUCCEEDED_IN_PRIVATE if private else _SUCCEEDED
    connection = await session.connection()
    changed = await connection.execute(statement, {**_whose(claim), "document": document})
    if changed.first() is None:
        raise Lost
    if claim.order_key is not None:
        await wake_relays(session)


def _kept(why: str) -> str:
    """The reason, truncated to the column and made storable: it may quote client input."""
    return why[:ERROR_LENGTH].replace("\0", "").encode(errors="replace").decode()


async def again(
    database: Database, claim: Claim, why: str, pause: float, *, counts: bool = True
) -> Literal["retried"]:
    """Requeue the job for `pause` seconds later; with `counts=False` the attempt does not count."""
    log.info("job is tried again", reason=why, seconds=round(pause, 1))
    values = queued(pause) | {
        "attempt": claim.attempt if counts else claim.attempt - 1,
        # The process ended normally. A job that ended its own process before may do so again.
        "suspect": col(Job.crashes) > 0,
        "error": _kept(why),
    }
    return await _end(database, claim, values, "retried")


async def failed(database: Database, claim: Claim, why: str) -> Literal["failed"]:
    """Mark the job as a dead letter. It can be retried."""
    log.warning("job given up", reason=why)
    values = {**finished("failed"), "error": _kept(why)}
    return await _end(database, claim, values, "failed")


async def cancelled(database: Database, claim: Claim) -> Literal["cancelled"]:
    """Mark the job as cancelled. Nothing of this attempt's transaction took effect."""
    log.info("job cancelled")
    return await _end(database, claim, finished("cancelled"), "cancelled")


async def cancellation_requested(database: Database, claim: Claim) -> None:
    """Return when the job's cancellation is requested, and never otherwise."""
    requested = select(col(Job.cancel_requested_at)).where(col(Job.id) == claim.id)
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        try:
            async with database.read() as connection:
                if await connection.scalar(requested) is not None:
                    return
        except UNAVAILABLE:
            continue


async def wake_relays(session: AsyncSession) -> None:
    """Wake the relays when the transaction commits."""
    connection = await session.connection()
    await connection.execute(select(func.pg_notify(CHANNEL, "")))


async def _end[S](database: Database, claim: Claim, values: dict[str, Any], outcome: S) -> S:
    # Retry while the database is unavailable: otherwise the worker would appear to have died.
    for _ in range(WRITES):
        try:
            await _write(database, claim, values)
        except UNAVAILABLE as error:
            log.info("the end of the attempt cannot be written yet", reason=error.detail)
            await asyncio.sleep(WRITES_PAUSE)
        else:
            return outcome
    await _write(database, claim, values)
    return outcome


async def _write(database: Database, claim: Claim, values: dict[str, Any]) -> None:
    async with database.transaction() as session:
        await change(session, claim, values)
        if claim.order_key is not None:
            await wake_relays(session)


async def change(session: AsyncSession, claim: Claim, values: dict[str, Any]) -> bool:
    """Change the job unless another worker took it over. Returns whether it was changed."""
    connection = await session.connection()
    return bool((await connection.execute(_MINE.values(values), _whose(claim))).first())


def _whose(claim: Claim) -> dict[str, Any]:
    return {"job": claim.id, "claimed_attempt": claim.attempt, "key": lock_key(claim.id)}
