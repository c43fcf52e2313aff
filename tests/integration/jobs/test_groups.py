"""Jobs that run in parallel, and a final job that runs once after all of them."""

import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import text

from fastapi_base.core.config import Settings
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services.jobs import queries
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.errors import GiveUp
from fastapi_base.services.jobs.groups import Step, enqueue_all, parts
from tests.integration.jobs.steps import NOTE, Note, effects, row, run, take, write
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio


async def group(database: EngineDatabase, count: int, **how: Any) -> tuple[uuid.UUID, list[Any]]:
    """The final job, and the parts before it."""
    steps = [Step(NOTE, Note(text=str(number))) for number in range(count)]
    async with database.transaction() as session:
        last = (await enqueue_all(session, steps, then=Step(NOTE, Note(text="last")), **how)).id
        return last, [part.id for part in await parts(session, last)]


async def due(database: EngineDatabase) -> set[uuid.UUID]:
    """The jobs that a relay would publish now; each is returned once."""
    return {message.id for message in await take(database)}


async def fails(job: JobContext, payload: Note) -> None:
    raise GiveUp("no luck")


async def test_final_job_runs_after_all_parts_and_sees_their_outcomes(
    database: EngineDatabase, settings: Settings
) -> None:
    last, (first, second, third) = await group(database, 3)
    assert await due(database) == {first, second, third}
    assert await run(database, settings, first) == "succeeded"
    assert await run(database, settings, second, fails) == "failed"
    assert await due(database) == set()
    assert await run(database, settings, last) == "nothing to do"
    async with database.transaction() as session:
        await queries.cancel(session, third, None)
    assert await due(database) == {last}

    async def tell(job: JobContext, payload: Note) -> None:
        for part in await parts(job.session, job.id):
            await write(job.session, part.id, f"{part.status} {part.result} {part.error}")

    assert await run(database, settings, last, tell) == "succeeded"
    assert await effects(database) == [
        "0",
        "cancelled None None",
        "failed None no luck",
        "succeeded {'text': '0'} None",
    ]


async def test_two_concurrent_ends_release_the_final_job_once(
    database: EngineDatabase, settings: Settings
) -> None:
    last, (first, second) = await group(database, 2)
    end = "UPDATE jobs SET state = 'succeeded' WHERE id = :id"
    blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"

    async def waits() -> bool | None:
        async with database.read() as connection:
            return True if await connection.scalar(text(blocked)) else None

    async def other() -> None:
        async with database.transaction() as session:
            await (await session.connection()).execute(text(end), {"id": second})

    async with database.transaction() as session:
        await (await session.connection()).execute(text(end), {"id": first})
        ending = asyncio.create_task(other())
        # It has to continue the count of an uncommitted transaction.
        await until(waits, "the second one waits for the first")
    await ending
    assert await due(database) == {last}
    assert (await row(database, last)).waits_for == 0


async def test_many_workers_release_the_final_job_once(
    database: EngineDatabase, settings: Settings
) -> None:
    last, before = await group(database, 12)
    await due(database)
    # Each twice, as with redelivered messages; the pool allows some concurrency.
    deliveries = [run(database, settings, part) for part in (*before, *before)]
    outcomes = await asyncio.gather(*deliveries)
    assert outcomes.count("succeeded") == 12
    assert await due(database) == {last}
    assert await run(database, settings, last) == "succeeded"
    assert sorted(await effects(database)) == sorted([*map(str, range(12)), "last"])


async def test_retried_part_is_awaited_unless_the_final_job_was_released(
    database: EngineDatabase, settings: Settings
) -> None:
    last, (first, second) = await group(database, 2)
    assert await run(database, settings, first, fails) == "failed"
    async with database.transaction() as session:
        await queries.retry(session, first, None)
    assert await run(database, settings, second, fails) == "failed"
    await due(database)
    assert (await row(database, last)).waits_for == 1
    assert await run(database, settings, first) == "succeeded"
    assert await due(database) == {last}
    async with database.transaction() as session:
        await queries.retry(session, second, None)
    assert (await row(database, last)).waits_for == 0
    assert await run(database, settings, last) == "succeeded"


async def test_final_job_cancelled_and_retried_still_waits(
    database: EngineDatabase, settings: Settings
) -> None:
    last, (first,) = await group(database, 1)
    async with database.transaction() as session:
        await queries.cancel(session, last, None)
    async with database.transaction() as session:
        await queries.retry(session, last, None)
    assert await due(database) == {first}
    assert await run(database, settings, first) == "succeeded"
    assert await due(database) == {last}


async def test_deleted_parts_are_not_awaited(database: EngineDatabase) -> None:
    _, (first, second) = await group(database, 2)
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": first})
    assert await due(database) == {second}
    async with database.transaction() as session:
        # All at once, as when their account is deleted.
        await (await session.connection()).execute(text("DELETE FROM jobs"))
    assert await due(database) == set()


async def test_empty_group_is_finished(database: EngineDatabase, settings: Settings) -> None:
    last, _ = await group(database, 0)
    assert await due(database) == {last}
