"""Has jobs done at their times. Safe with any number of Beats: one of them works at a time.

A turn is one transaction under an advisory lock of its own length. In it a job is added and its
schedule moves on to the next moment, both or neither; it moves only from where it was seen. So a
moment has one run whoever dies, sleeps or is cut off where, and there is no leader to lose.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.db.database import Database
from fastapi_base.models.schedule import ScheduleState
from fastapi_base.services.jobs.enqueue import Enqueued, Unique, enqueue
from fastapi_base.services.jobs.schedules import CATCH_UP, Missed, Schedule, due
from fastapi_base.services.jobs.when import When, parse

log = structlog.stdlib.get_logger(__name__)

# Locks of jobs are negative numbers, so this is none of them. A Beat that freezes in the middle of
# a turn holds the others up until PostgreSQL ends its session; its turn is rolled back then.
_TURN = text("""
    SELECT pg_try_advisory_xact_lock(5702887) AS mine, now() AS now,
        set_config('idle_in_transaction_session_timeout', '5s', true)
""")
_SHORTEST_WAIT = timedelta(milliseconds=10)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn did: bare tasks that are to be sent, and how long the next one can wait."""

    tasks: Sequence[str]
    wait: timedelta


async def turn(database: Database, schedules: Sequence[Schedule[Any]], longest: timedelta) -> Turn:
    """Fire what is due, and say when to come again: after `longest` at the latest.

    Raises Unavailable and Overloaded; nothing was fired then.
    """
    tasks: list[str] = []
    async with database.transaction() as session:
        connection = await session.connection()
        begun = (await connection.execute(_TURN)).one()
        if not begun.mine:
            return Turn((), longest)
        now: datetime = begun.now
        rows = {row.name: row for row in await connection.execute(select(*_SEEN))}
        soonest = now + longest
        for schedule in schedules:
            try:
                async with session.begin_nested():
                    next_at, fired = await _see_to(session, schedule, rows, now)
            except (DBAPIError, OSError, TimeoutError):
                raise
            except Exception:
                # Its own fault, which must not hold up the others.
                log.exception("schedule cannot be fired", schedule=schedule.name)
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
        # It is new, or other than in the release before: what was before now is not missed.
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
        log.warning("moments were missed and are left out", schedule=row.name, since=row.next_at)
    if len(moments) == CATCH_UP:
        log.warning("only the last moments are made up for", schedule=row.name, runs=CATCH_UP)
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
    said = "fired" if job.fresh else "not fired: the run before is not over"
    log.info(
        said, schedule=schedule.name, due=moment.isoformat(), late_seconds=late, job=str(job.id)
    )


async def run(session: AsyncSession, schedule: Schedule[Any], moment: datetime) -> Enqueued:
    """Add the schedule's job for a moment, or find the one that is not over."""
    assert schedule.kind is not None
    which = f":{moment.isoformat()}" if schedule.missed is Missed.EACH else ""
    unique = Unique(f"schedule:{schedule.name}{which}")
    return await enqueue(session, schedule.kind, schedule.payload(moment), unique=unique)


async def settle(
    session: AsyncSession, schedule: Schedule[Any], now: datetime, **changes: Any
) -> datetime:
    """Make or change the schedule's row, and begin anew from now on; when it is due next."""
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
    """Its times. Raises BadWhen when the override cannot be read."""
    return schedule.times if override is None else parse(override)
