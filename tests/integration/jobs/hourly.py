"""Hourly schedules, and how a test runs Beat on them."""

from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Row, func, select, update
from sqlmodel import col

from fastapi_base.db.session import EngineDatabase
from fastapi_base.models import Job, ScheduleState
from fastapi_base.services.jobs.firing import Turn, turn
from fastapi_base.services.jobs.kinds import EmptyPayload, Kind
from fastapi_base.services.jobs.schedules import Missed, Schedule


class Due(BaseModel):
    """The moment that a job is for."""

    due: datetime


KIND = Kind("tick", Due)
ONCE = Schedule("tick", KIND, "every 1h", lambda due: Due(due=due))
SKIP = Schedule("tick", KIND, "every 1h", lambda due: Due(due=due), missed=Missed.SKIP)
EACH = Schedule("tick", KIND, "every 1h", lambda due: Due(due=due), missed=Missed.EACH)
SIGN: Schedule[EmptyPayload] = Schedule("sign", None, "every 1h", lambda _: EmptyPayload())
HOUR = timedelta(hours=1)
LONGEST = timedelta(seconds=1)


async def beat(database: EngineDatabase, *schedules: Schedule[Any]) -> Turn:
    """Run one turn of Beat."""
    return await turn(database, schedules, LONGEST)


async def state(database: EngineDatabase, name: str = "tick") -> Row[Any]:
    """The stored state of a schedule."""
    async with database.read() as connection:
        table: Any = ScheduleState.__table__  # type: ignore[attr-defined]
        return (await connection.execute(select(table).where(table.c.name == name))).one()


async def back(database: EngineDatabase, time: timedelta, name: str = "tick") -> datetime:
    """Pretend that no Beat ran for this long; returns the first moment of that time."""
    async with database.transaction() as session:
        mine = col(ScheduleState.name) == name
        earlier = (
            update(ScheduleState).where(mine).values(next_at=col(ScheduleState.next_at) - time)
        )
        await session.exec(earlier)
    first: datetime = (await state(database, name)).next_at
    return first


async def dues(database: EngineDatabase) -> list[datetime]:
    """The moments that have jobs."""
    async with database.read() as connection:
        payloads = await connection.scalars(select(col(Job.payload)).order_by(col(Job.seq)))
        return [datetime.fromisoformat(payload["due"]) for payload in payloads]


async def end_jobs(database: EngineDatabase) -> None:
    """Finish all jobs, as if workers had run them."""
    async with database.transaction() as session:
        await session.exec(
            update(Job).values(state="succeeded", finished_at=func.now(), unique_key=None)
        )
