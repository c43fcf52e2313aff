"""Operators change schedules while Beat runs."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from fastapi_base.core.errors import Conflict
from fastapi_base.core.security.caller import Origin
from fastapi_base.db.session import EngineDatabase
from fastapi_base.models import AuditEvent
from fastapi_base.services.jobs import timetable
from fastapi_base.services.jobs.when import BadWhen
from tests.integration.jobs.hourly import HOUR, ONCE, SIGN, back, beat, dues, end_jobs, state

pytestmark = pytest.mark.anyio


async def changed(database: EngineDatabase, **how: Any) -> datetime:
    async with database.transaction() as session:
        if "when" in how:
            return await timetable.override(session, ONCE, how["when"], Origin())
        return await timetable.enable(session, ONCE, Origin(), on=how["on"])


async def test_operators_override_times_and_reset_them(database: EngineDatabase) -> None:
    # Even before any Beat has run.
    next_at = await changed(database, when=" 30  2 * * *   Europe/Berlin ")
    row = await state(database)
    assert (row.override, row.basis) == ("30 2 * * * Europe/Berlin",) * 2
    assert row.next_at == next_at
    await beat(database, ONCE)
    assert (await state(database)).next_at == next_at
    back_again = await changed(database, when=None)
    assert back_again.minute == back_again.second == 0
    async with database.read() as connection:
        found = await connection.execute(
            select(col(AuditEvent.action), col(AuditEvent.details)).order_by(col(AuditEvent.id))
        )
        first, second = found.all()
    assert first.action == second.action == "schedule.changed"
    override = "30 2 * * * Europe/Berlin"
    assert first.details == {
        "schedule": "tick",
        "changes": {"override": {"before": None, "after": override}},
        "by": "command",
    }
    assert second.details["changes"] == {"override": {"before": override, "after": None}}


async def test_disabled_schedule_does_not_run_and_does_not_catch_up(
    database: EngineDatabase,
) -> None:
    await beat(database, ONCE)
    await back(database, 3 * HOUR)
    await changed(database, on=False)
    await back(database, 3 * HOUR)
    await beat(database, ONCE)
    assert await dues(database) == []
    assert await changed(database, on=True) > datetime.now(UTC)
    await beat(database, ONCE)
    assert await dues(database) == []


async def test_redundant_change_is_not_audited(database: EngineDatabase) -> None:
    await beat(database, ONCE)
    due = await back(database, 3 * HOUR)
    assert await changed(database, on=True) == due
    assert await changed(database, when=None) == due
    assert (await state(database)).next_at == due
    async with database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(AuditEvent)) == 0


async def test_invalid_times_change_nothing(database: EngineDatabase) -> None:
    await beat(database, ONCE)
    before = await state(database)
    with pytest.raises(BadWhen):
        await changed(database, when="0 25 * * *")
    assert await state(database) == before


async def test_change_during_a_turn_waits_for_it_and_applies(database: EngineDatabase) -> None:
    """Whichever comes first: no moment is fired by outdated times."""
    await beat(database, ONCE)
    for _ in range(20):
        await back(database, HOUR)
        await asyncio.gather(beat(database, ONCE), changed(database, when="every 2h"))
        row = await state(database)
        assert (row.override, row.basis) == ("every 2h", "every 2h")
        assert row.next_at.hour % 2 == 0
        await changed(database, when=None)
        await end_jobs(database)


async def test_run_now_adds_the_job_unless_it_exists(database: EngineDatabase) -> None:
    async with database.transaction() as session:
        job = await timetable.run(session, ONCE, Origin())
    (moment,) = await dues(database)
    assert datetime.now(UTC) - moment < timedelta(minutes=1)
    with pytest.raises(Conflict, match=str(job)):
        async with database.transaction() as session:
            await timetable.run(session, ONCE, Origin())
    with pytest.raises(Conflict, match="sends a heartbeat"):
        async with database.transaction() as session:
            await timetable.run(session, SIGN, Origin())


async def test_list_distinguishes_code_and_override(database: EngineDatabase) -> None:
    await beat(database, ONCE)
    await changed(database, when="every 5m")
    await changed(database, on=False)
    async with database.read() as connection:
        sign, tick = await timetable.listed(connection, [ONCE, SIGN])
    assert (tick.when, tick.overridden, tick.next_at, tick.last_at) == (
        "every 5m",
        True,
        None,
        None,
    )
    assert (sign.when, sign.overridden) == ("every 1h", False)
    assert sign.next_at
