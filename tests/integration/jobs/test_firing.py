"""Each scheduled moment gets one job, whichever Beat fires it."""

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, func, select

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Unavailable
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.models import Job
from fastapi_base.services.jobs.firing import turn
from fastapi_base.services.jobs.schedules import CATCH_UP, GRACE, Schedule
from tests.integration.jobs.hourly import (
    EACH,
    HOUR,
    KIND,
    LONGEST,
    ONCE,
    SIGN,
    SKIP,
    Due,
    back,
    beat,
    dues,
    end_jobs,
    state,
)
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio


async def test_due_schedule_fires_once_and_advances(database: EngineDatabase) -> None:
    assert (await beat(database, ONCE)).wait <= LONGEST
    # It is new: its first moment is in the future.
    assert await dues(database) == []
    moment = await back(database, HOUR)
    await beat(database, ONCE)
    await beat(database, ONCE)
    assert await dues(database) == [moment]
    row = await state(database)
    assert (row.last_at, row.next_at) == (moment, moment + HOUR)


async def test_next_turn_is_at_the_next_moment(database: EngineDatabase) -> None:
    slow = await turn(database, [ONCE], timedelta(days=1))
    async with database.read() as connection:
        now = await connection.scalar(select(func.now()))
    assert now
    assert abs((await state(database)).next_at - now - slow.wait) < timedelta(minutes=1)
    assert (await beat(database, ONCE)).wait == LONGEST


async def test_concurrent_beats_fire_each_moment_once(database: EngineDatabase) -> None:
    await beat(database, EACH, SIGN)
    for _ in range(5):
        await back(database, HOUR)
        await back(database, HOUR, "sign")
        # Job keys also prevent duplicates; a bare task has no key.
        turns = await asyncio.gather(*(beat(database, EACH, SIGN) for _ in range(8)))
        assert [name for turn in turns for name in turn.tasks] == ["sign"]
        await end_jobs(database)
    # Each round moved the same moment back.
    assert len(await dues(database)) == 5


async def test_frozen_beat_blocks_others_only_briefly(
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


async def test_missed_moments_follow_the_policy(database: EngineDatabase) -> None:
    for schedule, expected in [(SKIP, 0), (ONCE, 1), (EACH, 4)]:
        await beat(database, schedule)
        first = await back(database, 4 * HOUR)
        # The moment at which this started may be less than GRACE ago.
        if schedule is SKIP and datetime.now(UTC) - (first + 3 * HOUR) < GRACE:
            expected = 1
        await beat(database, schedule)
        found = await dues(database)
        assert found == [first + n * HOUR for n in range(4)][4 - expected :]
        row = await state(database)
        assert row.next_at == first + 4 * HOUR
        async with database.transaction() as session:
            await session.exec(delete(Job))


async def test_catching_up_is_bounded(database: EngineDatabase) -> None:
    await beat(database, EACH)
    first = await back(database, 10_000 * HOUR)
    await beat(database, EACH)
    found = await dues(database)
    assert found == [first + n * HOUR for n in range(10_000 - CATCH_UP, 10_000)]


async def test_unfinished_run_prevents_another(database: EngineDatabase) -> None:
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


async def test_bare_task_is_returned_once_and_not_stored(database: EngineDatabase) -> None:
    assert (await beat(database, SIGN)).tasks == []
    await back(database, HOUR, "sign")
    assert (await beat(database, SIGN)).tasks == ["sign"]
    assert (await beat(database, SIGN)).tasks == []
    async with database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(Job)) == 0


async def test_failing_schedule_does_not_block_the_others(
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
    # It is still due: once repaired, it runs.
    assert (await state(database, "wrong")).next_at == due
    await beat(database, replace(wrong, payload=lambda due: Due(due=due)))
    assert await dues(database) == [moment, due]


async def test_new_times_of_a_release_apply_from_then_on(database: EngineDatabase) -> None:
    await beat(database, EACH)
    await back(database, 4 * HOUR)
    await beat(database, replace(EACH, when="every 2h"))
    row = await state(database)
    assert row.basis == "every 2h"
    assert row.next_at > datetime.now(UTC)
    assert row.next_at.hour % 2 == 0
    assert await dues(database) == []
