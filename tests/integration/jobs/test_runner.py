"""A job takes effect once, however often it is started."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Unavailable
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services.jobs import deaths, ending
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.errors import TryLater
from fastapi_base.services.jobs.kinds import Kind
from tests.integration.jobs.steps import (
    Note,
    add,
    change,
    effects,
    row,
    run,
    take,
    write,
)
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio


async def test_second_delivery_has_no_effect(database: EngineDatabase, settings: Settings) -> None:
    job = await add(database)
    assert await run(database, settings, job.id) == "succeeded"
    assert await run(database, settings, job.id) == "nothing to do"
    assert await effects(database) == ["x"]
    stored = await row(database, job.id)
    assert (stored.state, stored.attempt, stored.result) == ("succeeded", 1, {"text": "x"})
    assert stored.created_at <= stored.started_at <= stored.finished_at


async def test_concurrent_second_delivery_has_no_effect(
    database: EngineDatabase, settings: Settings
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(job: JobContext, payload: Note) -> None:
        await write(job.session, job.id, payload.text)
        begun.set()
        await go_on.wait()

    job = await add(database)
    first = asyncio.create_task(run(database, settings, job.id, slow))
    await begun.wait()
    assert await run(database, settings, job.id) == "nothing to do"
    # Nor does the relay treat it as a job whose worker died.
    assert await deaths.recover(database, timedelta()) == []
    go_on.set()
    assert await first == "succeeded"
    assert await effects(database) == ["x"]


async def test_writes_of_a_failed_attempt_are_rolled_back(
    database: EngineDatabase, settings: Settings
) -> None:
    async def breaks(job: JobContext, payload: Note) -> None:
        await write(job.session, job.id, payload.text)
        raise RuntimeError("a secret that nobody should read")

    job = await add(database)
    assert await run(database, settings, job.id, breaks) == "retried"
    assert await effects(database) == []
    stored = await row(database, job.id)
    assert (stored.state, stored.error, stored.published_at) == ("queued", "RuntimeError", None)
    # Not before its time, even if an old message is redelivered.
    assert stored.run_at > datetime.now(UTC)
    assert await run(database, settings, job.id) == "nothing to do"
    await change(database, job.id, run_at=func.now())
    assert await run(database, settings, job.id) == "succeeded"
    assert await effects(database) == ["x"]
    assert (await row(database, job.id)).error is None


async def test_superseded_attempt_has_no_effect(
    database: EngineDatabase, settings: Settings
) -> None:
    async def overtaken(job: JobContext, payload: Note) -> None:
        await write(job.session, job.id, "first")
        await change(job.database, job.id, attempt=2)

    job = await add(database)
    assert await run(database, settings, job.id, overtaken) == "lost"
    assert await effects(database) == []
    await change(database, job.id, state="queued")
    assert await run(database, settings, job.id) == "succeeded"
    assert await effects(database) == ["x"]


async def test_job_of_a_dead_worker_is_detected_and_retried(
    database: EngineDatabase, settings: Settings
) -> None:
    job = await add(database)

    async def dies(job: JobContext, payload: Note) -> None:
        await write(job.session, job.id, payload.text)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run(database, settings, job.id, dies)
    assert (await row(database, job.id)).state == "running"
    # A short grace period, for a job that is just starting.
    assert await deaths.recover(database) == []
    assert await deaths.recover(database, timedelta()) == [job.id]
    stored = await row(database, job.id)
    # The culprit is unknown: no attempt is counted, and the next one runs in its own process.
    assert (stored.attempt, stored.deaths, stored.suspect) == (0, 1, True)
    assert await run(database, settings, job.id) == "nothing to do"
    assert [message.id for message in await take(database)] == [job.id]
    assert await run(database, settings, job.id) == "suspect"
    assert await run(database, settings, job.id, apart=True) == "succeeded"
    assert await effects(database) == ["x"]


async def test_outcome_is_recorded_once_the_database_is_back(
    database: EngineDatabase, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "WRITES_PAUSE", 0.01)
    away = 3

    class Away(EngineDatabase):
        @contextlib.asynccontextmanager
        async def transaction(self) -> AsyncIterator[AsyncSession]:
            nonlocal away
            if away and self.broken:
                away -= 1
                raise Unavailable
            async with super().transaction() as session:
                yield session

        broken = False

    async def breaks(job: JobContext, payload: Note) -> None:
        broken.broken = True
        raise TryLater("busy")

    engine = create_engine(settings.database)
    broken = Away(engine)
    job = await add(database)
    try:
        assert await run(broken, settings, job.id, breaks) == "retried"
    finally:
        await engine.dispose()
    assert (away, (await row(database, job.id)).state) == (0, "queued")


async def test_job_beyond_its_time_limit_is_interrupted(
    database: EngineDatabase, settings: Settings
) -> None:
    kind = Kind("note", Note, time_limit=0.1)

    async def hangs(job: JobContext, payload: Note) -> None:
        await write(job.session, job.id, payload.text)
        await asyncio.Event().wait()

    job = await add(database, kind=kind)
    assert await run(database, settings, job.id, hangs, kind) == "retried"
    assert (await row(database, job.id)).error == "it took too long"
    assert await effects(database) == []


async def test_running_job_is_cancelled_on_request(
    database: EngineDatabase, settings: Settings
) -> None:
    async def hangs(job: JobContext, payload: Note) -> None:
        await write(job.session, job.id, payload.text)
        await change(job.database, job.id, cancel_requested_at=func.now())
        await asyncio.Event().wait()

    job = await add(database)
    assert await run(database, settings, job.id, hangs) == "cancelled"
    assert (await row(database, job.id)).state == "cancelled"
    assert await effects(database) == []
    # The task that ran it can run the next job.
    other = await add(database, "y")
    assert await run(database, settings, other.id) == "succeeded"


async def test_old_payload_version_runs_and_a_newer_one_waits(
    database: EngineDatabase, settings: Settings
) -> None:
    def from_1(old: dict[str, Any]) -> dict[str, Any]:
        return {"body": old["note"]}

    def from_2(old: dict[str, Any]) -> dict[str, Any]:
        return {"text": old["body"].upper()}

    now = Kind("note", Note, version=3, upgrades={1: from_1, 2: from_2})
    ids = []
    for version, payload in [(1, {"note": "a"}), (2, {"body": "b"}), (3, {"text": "c"}), (4, {})]:
        job = await add(database)
        await change(database, job.id, version=version, payload=payload)
        ids.append(job.id)
    outcomes = [await run(database, settings, job_id, kind=now) for job_id in ids]
    assert outcomes == ["succeeded"] * 3 + ["retried"]
    assert await effects(database) == ["A", "B", "c"]
    assert (await row(database, ids[-1])).attempt == 0


async def test_invalid_payload_fails_for_good(database: EngineDatabase, settings: Settings) -> None:
    job = await add(database)
    await change(database, job.id, payload={"text": ["a secret"]})
    assert await run(database, settings, job.id) == "failed"
    assert (await row(database, job.id)).error == "the payload is not valid at: text"


async def test_unknown_kind_waits_for_a_worker_that_knows_it(
    database: EngineDatabase, settings: Settings
) -> None:
    job = await add(database)
    await change(database, job.id, kind="of-tomorrow")
    assert await run(database, settings, job.id) == "retried"
    assert (await row(database, job.id)).attempt == 0
    long_ago = func.now() - timedelta(days=2)
    await change(database, job.id, run_at=long_ago, created_at=long_ago)
    assert await run(database, settings, job.id) == "failed"


async def test_unknown_job_is_ignored(database: EngineDatabase, settings: Settings) -> None:
    assert await run(database, settings, uuid.uuid4()) == "nothing to do"


async def test_private_payload_is_deleted_with_the_job(
    database: EngineDatabase, settings: Settings
) -> None:
    kind = Kind("note", Note, private=True)
    job = await add(database, kind=kind)
    assert await run(database, settings, job.id, kind=kind) == "succeeded"
    assert (await row(database, job.id)).payload == {}


async def test_progress_is_visible_while_the_job_runs(
    database: EngineDatabase, settings: Settings
) -> None:
    go_on = asyncio.Event()

    async def slow(job: JobContext, payload: Note) -> None:
        await job.progress(1, 3, "a third")
        await go_on.wait()
        await job.progress(3, 3)

    job = await add(database)
    running = asyncio.create_task(run(database, settings, job.id, slow))

    async def progress() -> Any:
        return (await row(database, job.id)).progress

    assert await until(progress, "progress") == {"done": 1, "total": 3, "note": "a third"}
    go_on.set()
    assert await running == "succeeded"
    assert (await progress())["done"] == 3
