"""Failures of jobs are handled by class, and attempts are bounded."""

import pytest
from pydantic import ValidationError
from sqlalchemy import func

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Conflict, Unavailable
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services.jobs import ending, queries
from fastapi_base.services.jobs.context import Handler, JobContext
from fastapi_base.services.jobs.errors import GiveUp, TryLater
from fastapi_base.services.jobs.runner import Runner
from tests.integration.jobs.steps import (
    NOTE,
    Note,
    add,
    change,
    effects,
    row,
    run,
    work,
    write,
)

pytestmark = pytest.mark.anyio


def invalid() -> ValidationError:
    """A validation error that the job's own work may raise, as for another server's response."""
    try:
        Note.model_validate({"text": 1})
    except ValidationError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (TryLater("the server is busy"), "queued", "the server is busy"),
        (Unavailable("no answer"), "queued", "no answer"),
        (ValueError("a secret"), "queued", "ValueError"),
        (invalid(), "queued", "ValidationError"),
        (TimeoutError("of another server"), "queued", "TimeoutError"),
        (OSError("no space left"), "queued", "OSError"),
        (GiveUp("there is no such file"), "failed", "there is no such file"),
        (Conflict("it is there already"), "failed", "it is there already"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_failures_are_handled_by_class(
    database: EngineDatabase, settings: Settings, error: Exception, state: str, said: str
) -> None:
    async def breaks(job: JobContext, payload: Note) -> None:
        raise error

    job = await add(database)
    await run(database, settings, job.id, breaks)
    stored = await row(database, job.id)
    assert (stored.state, stored.error) == (state, said)


async def test_attempts_are_bounded(database: EngineDatabase, settings: Settings) -> None:
    async def breaks(job: JobContext, payload: Note) -> None:
        raise TryLater("busy")

    job = await add(database)
    outcomes = []
    for _ in range(NOTE.attempts):
        await change(database, job.id, run_at=func.now())
        outcomes.append(await run(database, settings, job.id, breaks))
    assert outcomes == ["retried", "retried", "failed"]
    assert await run(database, settings, job.id) == "nothing to do"


async def test_manual_retry_restores_all_attempts(
    database: EngineDatabase, settings: Settings
) -> None:
    async def breaks(job: JobContext, payload: Note) -> None:
        raise TryLater("busy")

    job = await add(database)
    for _ in range(20):
        outcomes = []
        for _ in range(NOTE.attempts):
            await change(database, job.id, run_at=func.now())
            outcomes.append(await run(database, settings, job.id, breaks))
        assert outcomes == ["retried", "retried", "failed"]
        async with database.transaction() as session:
            await queries.retry(session, job.id, None)
    stored = await row(database, job.id)
    assert (stored.attempt, stored.max_attempts) == (0, NOTE.attempts)
    assert await run(database, settings, job.id) == "succeeded"


async def test_old_attempt_with_the_same_number_does_not_finish_the_new_one(
    database: EngineDatabase, settings: Settings
) -> None:
    job = await add(database)
    runner = Runner(database, settings, {"note": Handler(NOTE, work)})
    old = await runner._claim(job.id)
    assert old is not None
    await change(database, job.id, state="failed")
    async with database.transaction() as session:
        await queries.retry(session, job.id, None)

    async def meets_the_old_one(job: JobContext, payload: Note) -> None:
        assert job.attempt == old.attempt
        await write(job.session, job.id, payload.text)
        await ending.again(job.database, old, "late", 60)
        await ending.failed(job.database, old, "late")

    assert await run(database, settings, job.id, meets_the_old_one) == "succeeded"
    assert await effects(database) == ["x"]
