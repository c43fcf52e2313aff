"""Fires schedules at their times. Safe with any number of Beats: one of them works at a time.

A turn is one transaction under its own advisory lock. It adds a job and advances the schedule to
the next moment, atomically; it advances only from the state it read. Therefore each moment has
exactly one run, whichever process dies, hangs or loses its connection, and there is no leader to
lose.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.observability import reporting
from fastapi_base.db.failures import is_failure
from fastapi_base.db.session import Database
from fastapi_base.models.jobs.schedule import ScheduleState
from fastapi_base.services.jobs.enqueue import Enqueued, Unique, enqueue
from fastapi_base.services.jobs.schedules import CATCH_UP, Missed, Schedule, due
from fastapi_base.services.jobs.when import When, parse

log = structlog.stdlib.get_logger(__name__)

# Job locks use negative numbers, so this key never collides with one. A Beat that freezes during a
# turn blocks the others until PostgreSQL ends its session and rolls its turn back.
_TURN = text("""
    SELECT pg_try_advisory_xact_lock(5702887) AS mine, now() AS now,
        set_config('idle_in_transaction_session_timeout', '5s', true)
""")
_SHORTEST_WAIT = timedelta(milliseconds=10)


@dataclass(frozen=True, slots=True)
class Turn:
    """The result of a turn: bare tasks to send, and how long to wait for the next turn."""

    tasks: Sequence[str]
    wait: timedelta


async def turn(database: Database, schedules: Sequence[Schedule[Any]], longest: timedelta) -> Turn:
    """Fire due schedules, and return when to call again: after `longest` at the latest.

    Raises Unavailable and Overloaded; nothing was fired then.
    """
    tasks: list[str] = []
    async with database.transaction() as session:
        connection = await session.connection()
        turn_row = (await connection.execute(_TURN)).one()
        if not turn_row.mine:
            return Turn((), longest)
        now: datetime = turn_row.now
        rows = {row.name: row for row in await connection.execute(select(*_SEEN))}
        soonest = now + longest
        for schedule in schedules:
            try:
                async with session.begin_nested():
                    next_at, fired = await _see_to(session, schedule, rows, now)
            except Exception as error:
                if is_failure(error):
                    raise
                # An error of this schedule must not block the others.
                log.exception("schedule cannot be fired", schedule=schedule.name)
                reporting.capture(error, schedule=schedule.name)
                continue
            if next_at is not None:
                soonest = min(soonest, next_at)
            if fired and schedule.kind is None:
                tasks.append(schedule.name)
    return Turn(tasks, max(soonest - now, _SHORTEST_WAIT))


_SEEN: tuple[Any, ...] = (
    col(ScheduleState.name),
    col(ScheduleState.override),
    col(ScheduleState.enabled),
    col(ScheduleState.basis),
    col(ScheduleState.next_at),
)


async def _see_to(
    session: AsyncSession, schedule: Schedule[Any], rows: Mapping[str, Row[Any]], now: datetime
) -> tuple[datetime | None, bool]:
    """When the schedule is due next, None for never, and whether it was fired."""
    row = rows.get(schedule.name)
    if row is None or row.basis != (row.override or schedule.when):
        # New, or changed since the previous release: moments before now do not count as missed.
        return await settle(session, schedule, now), False
    if not row.enabled:
        return None, False
    if row.next_at > now:
        return row.next_at, False
    times = times_of(schedule, row.override)
    moments = due(times, row.next_at, now, schedule.missed)
    next_at = times.after(now)
    moved = (
        update(ScheduleState)
        .where(
            col(ScheduleState.name) == row.name,
            col(ScheduleState.next_at) == row.next_at,
            col(ScheduleState.basis) == row.basis,
            col(ScheduleState.enabled),
        )
        .values(next_at=next_at, last_at=moments[-1] if moments else row.next_at)
        .returning(col(ScheduleState.name))
    )
    connection = await session.connection()
    if (await connection.execute(moved)).first() is None:
        # An operator changed it since this turn began.
        return now, False
    if not moments:
        log.warning("missed runs are skipped", schedule=row.name, since=row.next_at)
    if len(moments) == CATCH_UP:
        log.warning("only the latest missed runs are run", schedule=row.name, runs=CATCH_UP)
    for moment in moments:
        await _fire(session, schedule, moment, now)
    return next_at, bool(moments)


async def _fire(
    session: AsyncSession, schedule: Schedule[Any], moment: datetime, now: datetime
) -> None:
    late = round((now - moment).total_seconds(), 3)
    if schedule.kind is None:
        return
    job = await run(session, schedule, moment)
    said = "fired" if job.fresh else "not fired: the previous run has not finished"
    log.info(
        said, schedule=schedule.name, due=moment.isoformat(), late_seconds=late, job=str(job.id)
    )


async def run(session: AsyncSession, schedule: Schedule[Any], moment: datetime) -> Enqueued:
    """Add the schedule's job for a moment, or find the unfinished one."""
    assert schedule.kind is not None
    which = f":{moment.isoformat()}" if schedule.missed is Missed.EACH else ""
    unique = Unique(f"schedule:{schedule.name}{which}")
    return await enqueue(session, schedule.kind, schedule.payload(moment), unique=unique)


async def settle(
    session: AsyncSession, schedule: Schedule[Any], now: datetime, **changes: Any
) -> datetime:
    """Create or update the schedule's row, starting from now; returns when it is due next."""
    connection = await session.connection()
    stored = insert(ScheduleState).values(
        name=schedule.name, basis=schedule.when, next_at=schedule.times.after(now)
    )
    await connection.execute(stored.on_conflict_do_nothing())
    mine = col(ScheduleState.name) == schedule.name
    locked = select(col(ScheduleState.override)).where(mine).with_for_update()
    override = await connection.scalar(locked)
    override = changes.get("override", override)
    next_at = times_of(schedule, override).after(now)
    values = {**changes, "basis": override or schedule.when, "next_at": next_at}
    await connection.execute(update(ScheduleState).where(mine).values(values))
    return next_at


def times_of(schedule: Schedule[Any], override: str | None) -> When:
    """The schedule's times. Raises BadWhen if the override is invalid."""
    return schedule.times if override is None else parse(override)
