"""Daily figures: computed by a nightly job, read by superusers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import DateTime, Select, distinct, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from fastapi_base.models.identity.api_key import ApiKey
from fastapi_base.models.identity.session import LoginSession
from fastapi_base.models.identity.user import User
from fastapi_base.models.items.item import Item  # slice: items
from fastapi_base.models.jobs.job import Job
from fastapi_base.models.statistics.statistics import DayStatistics
from fastapi_base.schemas.statistics.statistics import StatisticsOf, StatisticsRead
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.errors import TryLater
from fastapi_base.services.jobs.kinds import Kind, Priority
from fastapi_base.services.jobs.schedules import Missed, Schedule
from fastapi_base.utils.pagination import Listing, Page, PageQuery, fetch

STATISTICS = Kind("statistics", StatisticsOf, priority=Priority.BACKGROUND)
LISTING = Listing(
    "statistics", col(DayStatistics.day), {"day": col(DayStatistics.day)}, default="-day"
)
# A figure is a count over a half-open time interval.
type Figure = Callable[[datetime, datetime], Select[int]]


def _rows(when: Any, **also: str) -> Figure:
    """Rows of a table whose time is in the interval and whose columns have these values."""
    table = when.class_
    of = [getattr(table, name) == value for name, value in also.items()]
    return lambda begin, end: select(func.count()).where(when >= begin, when < end, *of)


# begin slice: items
def _items_made(begin: datetime, end: datetime) -> Select[int]:
    """Items created, by the index on this expression."""
    made = func.timezone(literal_column("'UTC'"), col(Item.created_at), type_=DateTime())
    since, before = (moment.astimezone(UTC).replace(tzinfo=None) for moment in (begin, end))
    return select(func.count()).where(made >= since, made < before)


# end slice: items


def _registered(begin: datetime, end: datetime) -> Select[int]:
    """Accounts created, whatever their state now, from the index of the list."""
    any_of = [flag.in_([True, False]) for flag in (col(User.is_active), col(User.is_superuser))]
    made = col(User.created_at)
    return select(func.count()).where(made >= begin, made < end, *any_of)


def _active(begin: datetime, end: datetime) -> Select[int]:
    """Accounts used, by a session or a key.

    A later use is counted for this day: that is why a day is counted soon after it ends. What
    expired before the day was not used on it, so long-ended sessions and keys are not read. An
    index on `last_used_at` would cost more with each use than it saves here.
    """
    used = [
        select(col(one.user_id)).where(
            col(one.last_used_at) >= begin,
            col(one.created_at) < end,
            col(one.expires_at) >= begin,
        )
        for one in (LoginSession, ApiKey)
    ]
    both = used[0].union_all(used[1]).subquery()
    return select(func.count(distinct(both.c.user_id)))


FIGURES: dict[str, Figure] = {
    "accounts_registered": _registered,
    "accounts_active": _active,
    "sessions_begun": _rows(col(LoginSession.created_at)),
    "jobs_succeeded": _rows(col(Job.finished_at), state="succeeded"),
    "jobs_failed": _rows(col(Job.finished_at), state="failed"),
    "items_made": _items_made,  # slice: items
}


def _day_before(due: datetime) -> StatisticsOf:
    return StatisticsOf(day=due.astimezone(UTC).date() - timedelta(days=1))


# Each day gets its own figures, even if no Beat ran that night.
NIGHTLY = Schedule("statistics", STATISTICS, "10 0 * * *", _day_before, missed=Missed.EACH)


async def compute(job: JobContext, payload: StatisticsOf) -> StatisticsRead:
    """Count a day, replacing earlier figures. Raises TryLater before the day ends."""
    begin = datetime.combine(payload.day, datetime.min.time(), UTC)
    end = begin + timedelta(days=1)
    connection = await job.session.connection()
    now = await connection.scalar(select(func.now()))
    assert now
    if now < end:
        raise TryLater(f"{payload.day} has not ended")
    figures = {
        name: int(await connection.scalar(figure(begin, end)) or 0)
        for name, figure in FIGURES.items()
    }
    counted = {"figures": figures, "computed_at": now}
    add = insert(DayStatistics).values(day=payload.day, **counted)
    await connection.execute(add.on_conflict_do_update(index_elements=["day"], set_=counted))
    return StatisticsRead(day=payload.day, **counted)


async def listed(connection: AsyncConnection, query: PageQuery) -> Page[StatisticsRead]:
    """One page of days."""
    columns: tuple[Any, ...] = tuple(
        col(getattr(DayStatistics, name)) for name in StatisticsRead.model_fields
    )
    return await fetch(connection, select(*columns), query, StatisticsRead.model_validate)
