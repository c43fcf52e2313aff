"""The events of each UTC day are counted once."""

import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import httpx2
import pytest
from sqlalchemy import insert, select
from sqlmodel import SQLModel

from fastapi_base.core.config import Settings
from fastapi_base.db.session import EngineDatabase
from fastapi_base.models import ApiKey, DayStatistics, Job, LoginSession, User
from fastapi_base.models.items.item import Item  # slice: items
from fastapi_base.schemas.statistics.statistics import StatisticsOf
from fastapi_base.services.jobs.enqueue import enqueue
from fastapi_base.services.jobs.runner import Runner
from fastapi_base.services.statistics.statistics import FIGURES, NIGHTLY, STATISTICS
from fastapi_base.tasks.running import HANDLERS
from tests.integration.accounts import new_superuser, new_user
from tests.integration.jobs.steps import row

pytestmark = pytest.mark.anyio

PATH = "/api/v1/admin/statistics"
DAY = date(2026, 3, 29)
BEGIN = datetime(2026, 3, 29, tzinfo=UTC)
END = BEGIN + timedelta(days=1)
INSTANT = timedelta(microseconds=1)
# Just before, first, last, just after.
EDGES = (BEGIN - INSTANT, BEGIN, END - INSTANT, END)


async def count(database: EngineDatabase, settings: Settings, day: date) -> Any:
    """Have a day counted; returns the resulting job."""
    async with database.transaction() as session:
        job = await enqueue(session, STATISTICS, StatisticsOf(day=day))
    await Runner(database, settings, HANDLERS).run(job.id)
    return await row(database, job.id)


async def add(database: EngineDatabase, table: type[SQLModel], **values: Any) -> uuid.UUID:
    """Add a row."""
    row_id = uuid.uuid4()
    async with database.transaction() as session:
        await session.exec(insert(table).values(id=row_id, **values))
    return row_id


async def user(database: EngineDatabase, created_at: datetime = BEGIN) -> uuid.UUID:
    values = {"email": f"{uuid.uuid4()}@example.com", "password_hash": "x"}
    return await add(database, User, created_at=created_at, **values)


async def used(
    database: EngineDatabase, whose: uuid.UUID, created_at: datetime, last_used_at: datetime
) -> None:
    """A session used at these times."""
    times = {"created_at": created_at, "last_used_at": last_used_at, "expires_at": END}
    await add(database, LoginSession, user_id=whose, **times)


async def test_events_within_the_day_are_counted(
    database: EngineDatabase, settings: Settings
) -> None:
    job = {"kind": "x", "version": 1, "payload": {}, "queue": "q", "priority": 0, "max_attempts": 1}
    for edge in EDGES:
        owner = await user(database, edge)
        await used(database, owner, edge, edge)
        for state in ("succeeded", "failed", "cancelled"):
            await add(database, Job, state=state, finished_at=edge, **job)
        await add(database, Item, owner_id=owner, title="x", created_at=edge)  # slice: items
    # The session started before the day's end and was used after its start.
    assert (await count(database, settings, DAY)).result["figures"] == dict.fromkeys(FIGURES, 2)


async def test_account_is_counted_active_once_for_any_use(
    database: EngineDatabase, settings: Settings
) -> None:
    before, noon = BEGIN - timedelta(days=5), BEGIN + timedelta(hours=12)
    idle, old, by_key, later = [await user(database, before) for _ in range(4)]
    await used(database, idle, before, BEGIN - INSTANT)
    for _ in range(2):
        await used(database, old, before, noon)
    for whose in (old, by_key):
        key = {"name": "k", "start": "fb_", "digest": whose.bytes, "scopes": [], "expires_at": END}
        await add(database, ApiKey, user_id=whose, created_at=before, last_used_at=noon, **key)
    await used(database, later, END, END)
    assert (await count(database, settings, DAY)).result["figures"]["accounts_active"] == 2


async def test_recount_replaces_the_previous_values(
    database: EngineDatabase, settings: Settings
) -> None:
    first = (await count(database, settings, DAY)).result
    await user(database)
    second = (await count(database, settings, DAY)).result
    assert second["figures"] == first["figures"] | {"accounts_registered": 1}
    async with database.transaction() as session:
        (stored,) = await session.scalars(select(DayStatistics))
    assert (stored.day, stored.figures) == (DAY, second["figures"])


async def test_unfinished_day_is_not_counted_yet(
    database: EngineDatabase, settings: Settings
) -> None:
    today = datetime.now(UTC).date()
    job = await count(database, settings, today)
    assert (job.state, job.error) == ("queued", f"{today} has not ended")


def test_each_night_counts_the_previous_utc_day() -> None:
    night = NIGHTLY.times.after(BEGIN)
    assert night == BEGIN + timedelta(minutes=10)
    assert NIGHTLY.payload(night).day == DAY - timedelta(days=1)
    # Whatever the operator's time zone.
    east = timezone(timedelta(hours=14))
    assert NIGHTLY.payload(datetime(2026, 3, 29, 0, 10, tzinfo=east)).day == date(2026, 3, 27)


async def test_superusers_read_statistics_page_by_page(
    client: httpx2.AsyncClient, database: EngineDatabase
) -> None:
    days = [DAY + timedelta(days=number) for number in range(5)]
    async with database.transaction() as session:
        for number, day in enumerate(days):
            values = {"figures": {"accounts_active": number}, "computed_at": END}
            await session.exec(insert(DayStatistics).values(day=day, **values))
    assert (await client.get(PATH)).status_code == 401
    refused = await client.get(PATH, headers=await new_user(client, "ada@example.com"))
    assert refused.json()["type"] == "urn:fastapi-base:insufficient-scope"
    client.headers |= await new_superuser(client, database, "root@example.com")
    seen, reply = [], await client.get(PATH, params={"limit": 2})
    while True:
        seen += reply.json()["items"]
        if "next" not in reply.links:
            break
        reply = await client.get(reply.links["next"]["url"])
    assert [one["day"] for one in seen] == [day.isoformat() for day in reversed(days)]
    assert seen[0]["figures"] == {"accounts_active": 4}
    oldest = (await client.get(PATH, params={"sort": "day", "limit": 1})).json()["items"]
    assert [one["day"] for one in oldest] == [DAY.isoformat()]
