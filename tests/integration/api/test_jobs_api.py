"""Jobs over HTTP: listing, cancelling, retrying, and events as they happen."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis
from sqlalchemy import select, update
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import Database, EngineDatabase
from fastapi_base.main import create_app
from fastapi_base.models import Job
from fastapi_base.services.jobs import watch as watching
from fastapi_base.services.jobs.watch import Watch, version
from tests.calling import calling
from tests.integration.accounts import authorization, new_superuser, new_user
from tests.integration.queries import counted
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

JOBS = "/api/v1/jobs"


async def submit(client: httpx2.AsyncClient, headers: dict[str, str]) -> dict[str, Any]:
    reply = await client.post(f"{JOBS}/word-count", json={"text": "one fish"}, headers=headers)
    assert reply.status_code == 202, reply.text
    job: dict[str, Any] = reply.json()
    return job


async def change(database: Database, job_id: str, **values: Any) -> None:
    async with database.transaction() as session:
        await session.exec(update(Job).where(col(Job.id) == uuid.UUID(job_id)).values(**values))


async def ids(client: httpx2.AsyncClient, headers: dict[str, str], query: str = "") -> list[str]:
    reply = await client.get(f"{JOBS}{query}", headers=headers)
    assert reply.status_code == 200, reply.text
    return [job["id"] for job in reply.json()["items"]]


async def test_owners_list_their_own_jobs_and_superusers_all(
    client: httpx2.AsyncClient, database: Database
) -> None:
    ada = await new_user(client, "ada@example.com")
    bob = await new_user(client, "bob@example.com")
    root = await new_superuser(client, database, "root@example.com")
    first, second = [(await submit(client, ada))["id"] for _ in range(2)]
    other = (await submit(client, bob))["id"]
    assert await ids(client, ada) == [second, first]
    assert await ids(client, bob) == [other]
    assert set(await ids(client, root)) >= {first, second, other}
    await change(database, first, state="failed")
    assert await ids(client, ada, "?status=failed") == [first]
    assert await ids(client, ada, "?kind=mail") == []
    page = await client.get(f"{JOBS}?limit=1", headers=ada)
    following = page.json()["next"]
    assert await ids(client, ada, f"?limit=1&cursor={following}") == [first]


async def test_others_can_neither_cancel_nor_retry_nor_watch_a_job(
    client: httpx2.AsyncClient,
) -> None:
    ada = await new_user(client, "ada@example.com")
    bob = await new_user(client, "bob@example.com")
    job = (await submit(client, ada))["id"]
    for reply in [
        await client.post(f"{JOBS}/{job}/cancel", headers=bob),
        await client.post(f"{JOBS}/{job}/retry", headers=bob),
        await client.get(f"{JOBS}/{job}/events", headers=bob),
    ]:
        assert reply.status_code == 404
    assert (await client.get(f"{JOBS}/{job}", headers=ada)).json()["status"] == "queued"


async def test_cancelled_job_is_retried(client: httpx2.AsyncClient, database: Database) -> None:
    ada = await new_user(client, "ada@example.com")
    job = (await submit(client, ada))["id"]
    too_early = await client.post(f"{JOBS}/{job}/retry", headers=ada)
    assert (too_early.status_code, too_early.json()["type"]) == (409, "urn:fastapi-base:conflict")
    for _ in range(2):
        reply = await client.post(f"{JOBS}/{job}/cancel", headers=ada)
        assert (reply.status_code, reply.json()["status"]) == (200, "cancelled")
        assert reply.json()["finished_at"]
    again = await client.post(f"{JOBS}/{job}/retry", headers=ada)
    assert (again.status_code, again.json()["status"]) == (200, "queued")
    assert again.json()["finished_at"] is None
    await change(database, job, state="succeeded")
    for what in ["cancel", "retry"]:
        assert (await client.post(f"{JOBS}/{job}/{what}", headers=ada)).status_code == 409


async def test_running_job_is_asked_to_cancel(
    client: httpx2.AsyncClient, database: Database
) -> None:
    ada = await new_user(client, "ada@example.com")
    job = (await submit(client, ada))["id"]
    await change(database, job, state="running", attempt=1)
    reply = await client.post(f"{JOBS}/{job}/cancel", headers=ada)
    assert reply.json()["status"] == "running"
    async with database.read() as connection:
        asked = select(col(Job.cancel_requested_at)).where(col(Job.id) == uuid.UUID(job))
        assert await connection.scalar(asked)


@pytest.fixture
async def committing(
    make_settings: Callable[[str], Settings], fresh_database_url: str, redis: Redis
) -> AsyncIterator[tuple[httpx2.AsyncClient, EngineDatabase, Watch]]:
    """An application with real commits, and its database as another process sees it."""
    settings = make_settings(fresh_database_url)
    app = create_app(settings)
    engine = create_engine(settings.database)
    async with calling(app) as client:
        yield client, EngineDatabase(engine), app.state.resources.watch
    await engine.dispose()


def events(text: str) -> list[dict[str, str]]:
    """The events of a stream, without keep-alive comments."""
    blocks = [block for block in text.split("\n\n") if block.strip(":\n")]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


async def test_events_run_to_the_end_and_resume(
    committing: tuple[httpx2.AsyncClient, EngineDatabase, Watch],
) -> None:
    client, elsewhere, watch = committing
    ada = await new_user(client, "ada@example.com")
    job = (await submit(client, ada))["id"]
    url = f"{JOBS}/{job}/events"
    # The test transport delivers a reply as a whole, so the job must end in the meantime.
    watching = asyncio.create_task(client.get(url, headers=ada))

    async def sent() -> bool | None:
        return True if watch._watchers else None

    await until(sent, "the stream watches the job")
    await change(elsewhere, job, state="succeeded", result={"words": 2})
    reply = await watching
    assert reply.headers["content-type"].startswith("text/event-stream")
    seen = events(reply.text)
    assert [json.loads(event["data"])["status"] for event in seen] == ["queued", "succeeded"]
    assert {event["event"] for event in seen} == {"job"}
    first, last = [event["id"] for event in seen]

    with counted() as statements:
        rest = await client.get(url, headers={**ada, "Last-Event-ID": first})
    assert len([sent for sent in statements if "FROM jobs" in sent]) == 1
    assert [event["id"] for event in events(rest.text)] == [last]
    done = await client.get(url, headers={**ada, "Last-Event-ID": last})
    assert (done.status_code, done.text) == (204, "")


async def test_changes_by_another_process_are_streamed_at_once(
    committing: tuple[httpx2.AsyncClient, EngineDatabase, Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only PostgreSQL's notification can report the change.
    monkeypatch.setattr(watching, "POLL_SECONDS", 600)
    client, elsewhere, _ = committing
    ada = await new_user(client, "ada@example.com")
    job = (await submit(client, ada))["id"]
    watch = Watch(elsewhere, elsewhere._engine)
    changes = watch.changes(uuid.UUID(job), None, None)
    assert isinstance(changes, AsyncGenerator)
    async with asyncio.timeout(60):
        first = await anext(changes)
        assert first is not None
        # After the events that are sent when listening starts.
        assert await anext(changes) is None
        telling = asyncio.ensure_future(anext(changes))
        progress = {"done": 1, "total": 2, "note": None}
        await change(elsewhere, job, state="running", progress=progress)
        told = await telling
    assert told is not None
    assert (told.status, told.progress and told.progress.done) == ("running", 1)
    assert version(told) != version(first)
    await changes.aclose()
    await watch.close()


async def test_superuser_cancels_jobs_of_others_in_a_session_but_not_with_an_api_key(
    client: httpx2.AsyncClient, database: Database
) -> None:
    job = (await submit(client, await new_user(client, "ada@example.com")))["id"]
    root = await new_superuser(client, database, "root@example.com")
    wanted = {"name": "jobs", "scopes": ["jobs:read", "jobs:write"], "expires_in_days": 1}
    key = (await client.post("/api/v1/api-keys", json=wanted, headers=root)).json()["key"]
    by_key = authorization(key)
    assert (await client.get(f"{JOBS}/{job}", headers=by_key)).status_code == 200
    for act in ("cancel", "retry"):
        assert (await client.post(f"{JOBS}/{job}/{act}", headers=by_key)).status_code == 404
    reply = await client.post(f"{JOBS}/{job}/cancel", headers=root)
    assert (reply.status_code, reply.json()["status"]) == (200, "cancelled")
    query = {"action": "job.cancelled"}
    events = await client.get("/api/v1/audit-events", params=query, headers=root)
    (event,) = events.json()["items"]
    assert event["details"]["job"] == job
    assert event["details"]["by"] == "superuser"
