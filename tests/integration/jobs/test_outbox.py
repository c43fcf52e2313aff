"""The relay gets committed jobs, once, in order, and again if their messages are lost."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func

from fastapi_base.core.config import Settings
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services.jobs import outbox
from fastapi_base.services.jobs.enqueue import Unique, enqueue
from fastapi_base.services.jobs.kinds import Priority
from fastapi_base.services.privacy.purge import purge
from tests.integration.jobs.steps import (
    NOTE,
    Note,
    add,
    change,
    effects,
    row,
    run,
    take,
)
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio
LEASE = timedelta(seconds=30)


async def test_job_is_committed_with_its_change_or_not_at_all(
    database: EngineDatabase,
) -> None:
    async def fails() -> None:
        async with database.transaction() as session:
            await enqueue(session, NOTE, Note())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    async with database.transaction() as session:
        job = await enqueue(session, NOTE, Note(), priority=Priority.URGENT)
        assert await take(database) == []
    (message,) = await take(database)
    assert (message.id, message.kind, message.priority) == (job.id, "note", 0)
    assert await take(database) == []


async def test_concurrent_relays_share_the_jobs(database: EngineDatabase) -> None:
    jobs = [(await add(database)).id for _ in range(20)]
    taken = await asyncio.gather(*(take(database, 3) for _ in range(8)))
    ids = [message.id for messages in taken for message in messages]
    assert len(ids) == len(set(ids))
    while more := await take(database, 3):
        ids += [message.id for message in more]
    assert sorted(ids) == sorted(jobs)


async def test_unpublished_jobs_are_taken_again(database: EngineDatabase) -> None:
    jobs = [(await add(database)).id for _ in range(3)]
    assert [message.id for message in await take(database)] == jobs
    await outbox.give_back(database, jobs[1:])
    assert [message.id for message in await take(database)] == jobs[1:]


async def test_delayed_job_waits(database: EngineDatabase) -> None:
    job = await add(database, delay=timedelta(seconds=0.4))
    assert await take(database) == []

    async def due() -> list[outbox.Message] | None:
        return await take(database) or None

    (message,) = await until(due, "the job is due")
    assert message.id == job.id


async def test_jobs_with_one_key_run_in_order(database: EngineDatabase, settings: Settings) -> None:
    first = await add(database, "a1", order_key="a")
    second = await add(database, "a2", order_key="a")
    other = await add(database, "b1", order_key="b")
    assert [m.id for m in await take(database)] == [first.id, other.id]
    # Nor while the first one is retried or waits for its next attempt.
    await change(database, first.id, state="running")
    assert await take(database) == []
    await change(database, first.id, state="queued")
    assert await run(database, settings, first.id) == "succeeded"
    assert [m.id for m in await take(database)] == [second.id]
    # A job that failed for good does not block the next.
    third = await add(database, "a3", order_key="a")
    await change(database, second.id, state="failed")
    assert [m.id for m in await take(database)] == [third.id]
    assert await effects(database) == ["a1"]


async def test_unique_until_finished(database: EngineDatabase, settings: Settings) -> None:
    first = await add(database, unique=Unique("key"))
    again = await add(database, unique=Unique("key"))
    other = await add(database, unique=Unique("another key"))
    assert (first.fresh, again.fresh, other.fresh) == (True, False, True)
    assert (again.id, again.created_at) == (first.id, first.created_at)
    assert await run(database, settings, first.id) == "succeeded"
    assert (await add(database, unique=Unique("key"))).fresh


async def test_unique_within_a_window(database: EngineDatabase, settings: Settings) -> None:
    hour = Unique("key", timedelta(hours=1))
    first = await add(database, unique=hour)
    assert await run(database, settings, first.id) == "succeeded"
    assert (await add(database, unique=hour)).id == first.id
    # Uniqueness lasts even if finished jobs are removed.
    assert await outbox.prune(database, timedelta(), timedelta(), 10) == 0
    await change(database, first.id, unique_until=func.now())
    second = await add(database, unique=hour)
    assert second.fresh
    assert await outbox.prune(database, timedelta(), timedelta(), 10) == 1


async def test_concurrent_unique_jobs_are_added_once(database: EngineDatabase) -> None:
    added = await asyncio.gather(*(add(database, unique=Unique("key")) for _ in range(8)))
    assert [job.fresh for job in added].count(True) == 1
    assert len({job.id for job in added}) == 1


async def test_unstarted_job_is_republished_with_growing_delays(
    database: EngineDatabase,
) -> None:
    job = await add(database)

    async def again_after(seconds: float) -> bool:
        published = func.now() - timedelta(seconds=seconds)
        await change(database, job.id, published_at=published)
        return await outbox.republish(database, LEASE, 10) == 1

    for lease in [30, 60, 120]:
        assert len(await take(database)) == 1
        assert not await again_after(lease - 1)
        assert await again_after(lease + 1)


async def test_job_with_a_waiting_message_is_not_republished(database: EngineDatabase) -> None:
    jobs = [await add(database) for _ in range(3)]
    urgent = await add(database, priority=Priority.URGENT)
    await take(database)
    for number, job in enumerate([*jobs, urgent]):
        await change(database, job.id, published_at=func.now() - timedelta(minutes=9 - number))
    # Two wait in the list of these, none in that of the urgent job.
    waiting = {(Queue.DEFAULT.value, 3): 2, (Queue.DEFAULT.value, 0): 0}
    assert await outbox.republish(database, LEASE, 10, waiting) == 2
    assert [message.id for message in await take(database)] == [urgent.id, jobs[0].id]


async def test_all_jobs_are_republished_after_the_broker_lost_its_data(
    database: EngineDatabase, settings: Settings
) -> None:
    jobs = [(await add(database)).id for _ in range(3)]
    await take(database)
    assert await run(database, settings, jobs[0]) == "succeeded"
    assert await outbox.republish_all(database) == 2
    assert [message.id for message in await take(database)] == jobs[1:]


async def test_finished_jobs_expire(database: EngineDatabase, settings: Settings) -> None:
    done, dead, waiting = [(await add(database)).id for _ in range(3)]
    await run(database, settings, done)
    finished = func.now() - timedelta(days=10)
    await change(database, done, finished_at=finished)
    await change(database, dead, state="failed", finished_at=finished)
    week, month = timedelta(days=7), timedelta(days=30)
    assert await outbox.prune(database, week, month, 1) == 1
    assert (await row(database, dead)).state == "failed"
    assert await outbox.prune(database, week, week, 1) == 1
    assert (await row(database, waiting)).state == "queued"


async def test_purge_removes_them(database: EngineDatabase, settings: Settings) -> None:
    old, lately = [(await add(database)).id for _ in range(2)]
    for job_id, days in [(old, 8), (lately, 6)]:
        finished = func.now() - timedelta(days=days)
        await change(database, job_id, state="succeeded", finished_at=finished)
    assert (await purge(database, settings))["jobs"] == 1
    assert (await row(database, lately)).state == "succeeded"
