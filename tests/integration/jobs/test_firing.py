"""Each moment has one job, whoever fires it; operators change schedules while Beat runs."""

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Row, delete, func, select, update
from sqlmodel import col

from fastapi_base.core.caller import Origin
from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Conflict, Unavailable
from fastapi_base.db.database import EngineDatabase
from fastapi_base.db.engine import create_engine
from fastapi_base.models import AuditEvent, Job, ScheduleState
from fastapi_base.services.jobs import timetable
from fastapi_base.services.jobs.firing import Turn, turn
from fastapi_base.services.jobs.kinds import Kind, Nothing
from fastapi_base.services.jobs.schedules import CATCH_UP, GRACE, Missed, Schedule
from fastapi_base.services.jobs.when import BadWhen
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio


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
    return await turn(database, schedules, LONGEST)


async def state(database: EngineDatabase, name: str = "tick") -> Row[Any]:
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
    async with database.transaction() as session:
        await session.exec(
            update(Job).values(state="succeeded", finished_at=func.now(), unique_key=None)
        )


async def test_what_is_due_is_fired_once_and_moves_on(database: EngineDatabase) -> None:
    assert (await beat(database, ONCE)).wait <= LONGEST
    # It is new: its first moment is to come.
    assert await dues(database) == []
    moment = await back(database, HOUR)
    await beat(database, ONCE)
    await beat(database, ONCE)
    assert await dues(database) == [moment]
    row = await state(database)
    assert (row.last_at, row.next_at) == (moment, moment + HOUR)


async def test_the_next_turn_comes_when_the_next_moment_does(database: EngineDatabase) -> None:
    slow = await turn(database, [ONCE], timedelta(days=1))
    async with database.read() as connection:
        now = await connection.scalar(select(func.now()))
    assert now
    assert abs((await state(database)).next_at - now - slow.wait) < timedelta(minutes=1)
    assert (await beat(database, ONCE)).wait == LONGEST


async def test_beats_at_once_fire_each_moment_once(database: EngineDatabase) -> None:
    await beat(database, EACH, SIGN)
    for _ in range(5):
        await back(database, HOUR)
        await back(database, HOUR, "sign")
        # The keys of jobs keep doubles out, too; a bare task has none.
        turns = await asyncio.gather(*(beat(database, EACH, SIGN) for _ in range(8)))
        assert [name for turn in turns for name in turn.tasks] == ["sign"]
        await end_jobs(database)
    # Each round set the same moment back.
    assert len(await dues(database)) == 5


async def test_one_that_freezes_in_its_turn_holds_others_up_but_not_for_long(
    database: EngineDatabase, settings: Settings
) -> None:
    frozen, thaw = threading.Event(), threading.Event()

    def freeze(due: datetime) -> Due:
        frozen.set()
        thaw.wait()
        return Due(due=due)

    async def other() -> None:
        engine = create_engine(settings.database)
        try:
            await beat(EngineDatabase(engine), replace(ONCE, payload=freeze))
        finally:
            await engine.dispose()

    await beat(database, ONCE)
    moment = await back(database, HOUR)
    sleeper = asyncio.create_task(asyncio.to_thread(asyncio.run, other()))
    try:
        await asyncio.to_thread(frozen.wait)
        await beat(database, ONCE)
        assert await dues(database) == []

        async def fired() -> list[datetime] | None:
            await beat(database, ONCE)
            return await dues(database) or None

        assert await until(fired, "another Beat takes over") == [moment]
    finally:
        thaw.set()
    with pytest.raises(Unavailable):
        await sleeper
    assert await dues(database) == [moment]


async def test_missed_moments_are_seen_to_by_policy(database: EngineDatabase) -> None:
    for schedule, expected in [(SKIP, 0), (ONCE, 1), (EACH, 4)]:
        await beat(database, schedule)
        first = await back(database, 4 * HOUR)
        # The moment in which this began may be less than GRACE ago.
        if schedule is SKIP and datetime.now(UTC) - (first + 3 * HOUR) < GRACE:
            expected = 1
        await beat(database, schedule)
        found = await dues(database)
        assert found == [first + n * HOUR for n in range(4)][4 - expected :]
        row = await state(database)
        assert row.next_at == first + 4 * HOUR
        async with database.transaction() as session:
            await session.exec(delete(Job))


async def test_years_are_not_made_up_for(database: EngineDatabase) -> None:
    await beat(database, EACH)
    first = await back(database, 10_000 * HOUR)
    await beat(database, EACH)
    found = await dues(database)
    assert found == [first + n * HOUR for n in range(10_000 - CATCH_UP, 10_000)]


async def test_a_run_that_is_not_over_is_not_joined_by_another(database: EngineDatabase) -> None:
    await beat(database, ONCE)
    first = await back(database, HOUR)
    await beat(database, ONCE)
    await back(database, HOUR)
    await beat(database, ONCE)
    assert await dues(database) == [first]
    await end_jobs(database)
    await back(database, HOUR)
    await beat(database, ONCE)
    assert len(await dues(database)) == 2


async def test_bare_task_is_handed_back_once_and_stored_nowhere(database: EngineDatabase) -> None:
    assert (await beat(database, SIGN)).tasks == []
    await back(database, HOUR, "sign")
    assert (await beat(database, SIGN)).tasks == ["sign"]
    assert (await beat(database, SIGN)).tasks == []
    async with database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(Job)) == 0


async def test_one_that_cannot_be_fired_does_not_hold_up_the_others(
    database: EngineDatabase,
) -> None:
    def broken(due: datetime) -> Due:
        raise ZeroDivisionError

    wrong = Schedule("wrong", KIND, "every 1h", broken)
    await beat(database, wrong, ONCE)
    due = await back(database, HOUR, "wrong")
    moment = await back(database, HOUR)
    await beat(database, wrong, ONCE)
    assert await dues(database) == [moment]
    # It is still due: mended, it runs.
    assert (await state(database, "wrong")).next_at == due
    await beat(database, replace(wrong, payload=lambda due: Due(due=due)))
    assert await dues(database) == [moment, due]


async def test_other_times_in_a_new_release_count_from_then_on(database: EngineDatabase) -> None:
    await beat(database, EACH)
    await back(database, 4 * HOUR)
    await beat(database, replace(EACH, when="every 2h"))
    row = await state(database)
    assert row.basis == "every 2h"
    assert row.next_at > datetime.now(UTC)
    assert row.next_at.hour % 2 == 0
    assert await dues(database) == []


async def changed(database: EngineDatabase, **how: Any) -> datetime:
    async with database.transaction() as session:
        if "when" in how:
            return await timetable.override(session, ONCE, how["when"], Origin())
        return await timetable.enable(session, ONCE, Origin(), on=how["on"])


async def test_operators_change_times_and_take_it_back(database: EngineDatabase) -> None:
    # Also before any Beat has run.
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


async def test_what_is_turned_off_rests_and_makes_up_for_nothing(database: EngineDatabase) -> None:
    await beat(database, ONCE)
    await back(database, 3 * HOUR)
    await changed(database, on=False)
    await back(database, 3 * HOUR)
    await beat(database, ONCE)
    assert await dues(database) == []
    assert await changed(database, on=True) > datetime.now(UTC)
    await beat(database, ONCE)
    assert await dues(database) == []


async def test_bad_times_change_nothing(database: EngineDatabase) -> None:
    await beat(database, ONCE)
    before = await state(database)
    with pytest.raises(BadWhen):
        await changed(database, when="0 25 * * *")
    assert await state(database) == before


async def test_change_during_a_turn_waits_for_it_and_counts(database: EngineDatabase) -> None:
    """Whichever of the two comes first: no moment is fired by times that are no more."""
    await beat(database, ONCE)
    for _ in range(20):
        await back(database, HOUR)
        await asyncio.gather(beat(database, ONCE), changed(database, when="every 2h"))
        row = await state(database)
        assert (row.override, row.basis) == ("every 2h", "every 2h")
        assert row.next_at.hour % 2 == 0
        await changed(database, when=None)
        await end_jobs(database)


async def test_run_now_adds_the_job_unless_it_is_there(database: EngineDatabase) -> None:
    async with database.transaction() as session:
        job = await timetable.run(session, ONCE, Origin())
    (moment,) = await dues(database)
    assert datetime.now(UTC) - moment < timedelta(minutes=1)
    with pytest.raises(Conflict, match=str(job)):
        async with database.transaction() as session:
            await timetable.run(session, ONCE, Origin())
    with pytest.raises(Conflict, match="sign of life"):
        async with database.transaction() as session:
            await timetable.run(session, SIGN, Origin())


async def test_list_tells_code_and_override_apart(database: EngineDatabase) -> None:
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
