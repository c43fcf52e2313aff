"""Schedules that are due every hour, and what Beat makes of them in a test."""

from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Row, func, select, update
from sqlmodel import col

from fastapi_base.db.database import EngineDatabase
from fastapi_base.models import Job, ScheduleState
from fastapi_base.services.jobs.firing import Turn, turn
from fastapi_base.services.jobs.kinds import Kind, Nothing
from fastapi_base.services.jobs.schedules import Missed, Schedule


class Due(BaseModel):
    """Which moment a job is for."""

    due: datetime


KIND = Kind("tick", Due)
ONCE = Schedule("tick", KIND, "every 1h", lambda due: Due(due=due))
SKIP = Schedule("tick", KIND, "every 1h", lambda due: Due(due=due), missed=Missed.SKIP)
EACH = Schedule("tick", KIND, "every 1h", lambda due: Due(due=due), missed=Missed.EACH)
SIGN: Schedule[Nothing] = Schedule("sign", None, "every 1h", lambda _: Nothing())
HOUR = timedelta(hours=1)
LONGEST = timedelta(seconds=1)


async def beat(database: EngineDatabase, *schedules: Schedule[Any]) -> Turn:
    """One turn."""
    return await turn(database, schedules, LONGEST)


async def state(database: EngineDatabase, name: str = "tick") -> Row[Any]:
    """What is remembered of a schedule."""
    async with database.read() as connection:
        table: Any = ScheduleState.__table__  # type: ignore[attr-defined]
        return (await connection.execute(select(table).where(table.c.name == name))).one()


async def back(database: EngineDatabase, time: timedelta, name: str = "tick") -> datetime:
    """As if no Beat had run for so long; the first moment of that time."""
    async with database.transaction() as session:
        mine = col(ScheduleState.name) == name
        earlier = (
            update(ScheduleState).where(mine).values(next_at=col(ScheduleState.next_at) - time)
        )
        await session.exec(earlier)
    first: datetime = (await state(database, name)).next_at
    return first


async def dues(database: EngineDatabase) -> list[datetime]:
    """The moments for which there are jobs."""
    async with database.read() as connection:
        payloads = await connection.scalars(select(col(Job.payload)).order_by(col(Job.seq)))
        return [datetime.fromisoformat(payload["due"]) for payload in payloads]


async def end_jobs(database: EngineDatabase) -> None:
    """As if workers had done all jobs."""
    async with database.transaction() as session:
        await session.exec(
            update(Job).values(state="succeeded", finished_at=func.now(), unique_key=None)
        )
