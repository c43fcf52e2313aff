"""Operators' view of schedules, and changes to them while Beat runs.

The actor is a superuser, or None for an operator's command.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import Conflict
from fastapi_base.core.security.caller import Origin
from fastapi_base.models.jobs.schedule import ScheduleState
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.jobs import firing
from fastapi_base.services.jobs.schedules import Schedule
from fastapi_base.services.jobs.when import parse

_STATE: tuple[Any, ...] = (
    col(ScheduleState.name),
    col(ScheduleState.override),
    col(ScheduleState.enabled),
    col(ScheduleState.next_at),
    col(ScheduleState.last_at),
)


@dataclass(frozen=True, slots=True)
class Line:
    """The state of a schedule. `last_at` is None before the first run, `next_at` if none is due."""

    name: str
    when: str
    overridden: bool
    missed: str
    next_at: datetime | None
    last_at: datetime | None


async def listed(connection: AsyncConnection, schedules: Sequence[Schedule[Any]]) -> list[Line]:
    """All declared schedules, with their overrides."""
    rows = {row.name: row for row in await connection.execute(select(*_STATE))}
    lines = []
    for schedule in sorted(schedules, key=lambda one: one.name):
        row = rows.get(schedule.name)
        override = row.override if row else None
        # No Beat of this release has run yet.
        soon = row.next_at if row else schedule.times.after(datetime.now(UTC))
        lines.append(
            Line(
                name=schedule.name,
                when=override or schedule.when,
                overridden=override is not None,
                missed=schedule.missed.value,
                next_at=soon if row is None or row.enabled else None,
                last_at=row.last_at if row else None,
            )
        )
    return lines


async def override(
    session: AsyncSession, schedule: Schedule[Any], when: str | None, origin: Origin
) -> datetime:
    """Override its times (None: those in code). Returns the next due time. Raises BadWhen."""
    text = None if when is None else " ".join(when.split())
    if text is not None:
        parse(text)
    return await _change(session, schedule, origin, None, override=text)


async def enable(
    session: AsyncSession,
    schedule: Schedule[Any],
    origin: Origin,
    *,
    on: bool,
    actor: uuid.UUID | None = None,
) -> datetime:
    """Enable it from now on, or disable it; returns when it would be due next."""
    return await _change(session, schedule, origin, actor, enabled=on)


async def run(
    session: AsyncSession,
    schedule: Schedule[Any],
    origin: Origin,
    *,
    actor: uuid.UUID | None = None,
) -> uuid.UUID:
    """Add its job now, whatever its times. Raises Conflict while the previous job is unfinished."""
    if schedule.kind is None:
        raise Conflict("The schedule sends a heartbeat and has no job")
    connection = await session.connection()
    stored = select(col(ScheduleState.override), func.now().label("now"))
    row = (await connection.execute(stored.where(col(ScheduleState.name) == schedule.name))).first()
    now: datetime = row.now if row else datetime.now(UTC)
    times = firing.times_of(schedule, row.override if row else None)
    # In the time zone of the schedule's moments.
    job = await firing.run(session, schedule, now.astimezone(times.after(now).tzinfo))
    if not job.fresh:
        raise Conflict(f"The previous run has not finished: job {job.id}")
    await audit.record(
        session,
        Action.SCHEDULE_RUN,
        origin,
        actor=actor,
        schedule=schedule.name,
        job=str(job.id),
        by=_by(actor),
    )
    return job.id


def _by(actor: uuid.UUID | None) -> str:
    return "command" if actor is None else "superuser"


async def _change(
    session: AsyncSession,
    schedule: Schedule[Any],
    origin: Origin,
    actor: uuid.UUID | None,
    **values: Any,
) -> datetime:
    connection = await session.connection()
    now = await connection.scalar(select(func.now()))
    assert now is not None
    mine = select(*_STATE).where(col(ScheduleState.name) == schedule.name).with_for_update()
    row = (await connection.execute(mine)).first()
    before = {"override": None, "enabled": True} if row is None else dict(row._mapping)
    changes = audit.changes(before, values)
    if row is not None and not changes:
        # Resetting the schedule would drop a moment that is due and not fired yet.
        next_at: datetime = row.next_at
        return next_at
    if changes:
        await audit.record(
            session,
            Action.SCHEDULE_CHANGED,
            origin,
            actor=actor,
            schedule=schedule.name,
            changes=changes,
            by=_by(actor),
        )
    return await firing.settle(session, schedule, now, **values)
