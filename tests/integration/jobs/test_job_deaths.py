"""A job in a process that died is not blamed until it kills a separate process of its own."""

import uuid
from datetime import timedelta

import pytest
from sqlalchemy import func

from fastapi_base.core.config import Settings
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services.jobs import deaths
from fastapi_base.services.jobs.context import Handler, JobContext
from fastapi_base.services.jobs.ending import Claim
from fastapi_base.services.jobs.errors import TryLater
from fastapi_base.services.jobs.runner import Runner
from tests.integration.jobs.steps import (
    NOTE,
    Note,
    add,
    change,
    change_all,
    effects,
    row,
    run,
    take,
    work,
)

pytestmark = pytest.mark.anyio


async def dead(database: EngineDatabase, settings: Settings, job_id: uuid.UUID) -> Claim:
    """Do everything that a worker does before the handler kills it."""
    claims: list[Claim] = []
    runner = Runner(database, settings, {"note": Handler(NOTE, work)}, claims.append)
    claim = await runner._claim(job_id)
    assert claim is not None
    return claim


async def test_job_that_kills_its_own_process_fails(
    database: EngineDatabase, settings: Settings
) -> None:
    job = await add(database)
    outcomes = []
    for _ in range(NOTE.attempts):
        await change(database, job.id, run_at=func.now())
        claim = await dead(database, settings, job.id)
        outcomes.append(await deaths.crashed(database, claim, "SIGKILL", 0))
    assert outcomes == ["retried", "retried", "failed"]
    stored = await row(database, job.id)
    assert (stored.state, stored.error) == ("failed", "the worker died: SIGKILL")
    assert (stored.attempt, stored.crashes) == (NOTE.attempts, NOTE.attempts)
    assert await effects(database) == []


async def test_unobserved_deaths_are_bounded(database: EngineDatabase, settings: Settings) -> None:
    job = await add(database)
    for number in range(deaths.UNSEEN * NOTE.attempts):
        await dead(database, settings, job.id)
        assert await deaths.recover(database, timedelta()) == [job.id], number
    await dead(database, settings, job.id)
    assert await deaths.recover(database, timedelta()) == []
    stored = await row(database, job.id)
    assert (stored.state, stored.error, stored.attempt) == ("failed", "the worker died", 1)


async def test_death_of_a_worker_during_shutdown_is_not_counted(
    database: EngineDatabase, settings: Settings
) -> None:
    job = await add(database)
    for _ in range(3 * NOTE.attempts):
        await dead(database, settings, job.id)
        await deaths.excuse(database, [job.id])
        assert await deaths.recover(database, timedelta()) == [job.id]
        stored = await row(database, job.id)
        assert (stored.attempt, stored.deaths, stored.suspect) == (0, 0, False)
    assert await run(database, settings, job.id) == "succeeded"


async def test_second_delivery_detects_the_workers_death(
    database: EngineDatabase, settings: Settings
) -> None:
    job = await add(database)
    await dead(database, settings, job.id)
    # It may be about to start.
    assert await run(database, settings, job.id) == "nothing to do"
    assert (await row(database, job.id)).state == "running"
    await change(database, job.id, started_at=func.now() - timedelta(seconds=2))
    assert await run(database, settings, job.id) == "nothing to do"
    assert (await row(database, job.id)).suspect


async def test_job_that_survived_its_own_process_is_no_longer_suspect(
    database: EngineDatabase, settings: Settings
) -> None:
    async def breaks(job: JobContext, payload: Note) -> None:
        raise TryLater("busy")

    job = await add(database)
    await change(database, job.id, suspect=True, deaths=2)
    await take(database)
    assert await run(database, settings, job.id, breaks, apart=True) == "retried"
    stored = await row(database, job.id)
    assert (stored.attempt, stored.deaths, stored.suspect) == (1, 0, False)


async def test_kind_with_several_crashing_jobs_runs_in_separate_processes(
    database: EngineDatabase, settings: Settings
) -> None:
    for number in range(deaths.CRASHING):
        assert await deaths.crashing_kinds(database) == [], number
        job = await add(database)
        await deaths.crashed(database, await dead(database, settings, job.id), "SIGKILL", 60)
    assert await deaths.crashing_kinds(database) == ["note"]
    healthy = await add(database)
    assert [message.id for message in await take(database)] == [healthy.id]
    # Also if it was published before: the message is dropped, and another one is published in turn.
    assert await deaths.suspect(database, ["note"]) == 1
    assert await run(database, settings, healthy.id) == "nothing to do"
    assert [message.id for message in await take(database)] == [healthy.id]
    assert await run(database, settings, healthy.id, apart=True) == "succeeded"
    await change_all(database, finished_at=func.now() - 2 * deaths.REMEMBERED)
    assert await deaths.crashing_kinds(database) == []
