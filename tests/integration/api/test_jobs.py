"""Jobs, as far as the database. tasks/test_worker.py covers the rest."""

import uuid
from contextlib import ExitStack

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from fastapi_base.models import Job, User
from tests.integration.accounts import new_user

pytestmark = pytest.mark.anyio


async def enqueue(client: httpx2.AsyncClient, headers: dict[str, str]) -> httpx2.Response:
    return await client.post("/api/v1/jobs/word-count", json={"text": "one fish"}, headers=headers)


async def test_job_is_stored_under_the_returned_id(
    client: httpx2.AsyncClient, connection: AsyncConnection
) -> None:
    headers = await new_user(client, "ada@example.com")
    reply = await enqueue(client, headers)
    assert reply.status_code == 202
    job = reply.json()
    assert reply.headers["location"] == f"/api/v1/jobs/{job['id']}"
    row = (await connection.execute(select(Job).where(col(Job.id) == job["id"]))).one()
    assert (row.kind, row.state, row.payload) == ("word-count", "queued", {"text": "one fish"})
    assert row.request_id == reply.headers["x-request-id"]
    seen = await client.get(reply.headers["location"], headers=headers)
    assert seen.json() == job
    assert seen.json()["status"] == "queued"


async def test_job_of_another_account_is_not_found(client: httpx2.AsyncClient) -> None:
    ada = await new_user(client, "ada@example.com")
    bob = await new_user(client, "bob@example.com")
    location = (await enqueue(client, ada)).headers["location"]
    foreign = await client.get(location, headers=bob)
    missing = await client.get(f"/api/v1/jobs/{uuid.uuid4()}", headers=bob)
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["type"] == missing.json()["type"] == "urn:fastapi-base:not-found"
    assert foreign.json()["detail"] == missing.json()["detail"]


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "x" * 100_001}, {"text": 1}])
async def test_invalid_text_is_refused(client: httpx2.AsyncClient, body: dict[str, object]) -> None:
    headers = await new_user(client, "ada@example.com")
    reply = await client.post("/api/v1/jobs/word-count", json=body, headers=headers)
    assert reply.status_code == 422


async def test_jobs_require_authentication(client: httpx2.AsyncClient) -> None:
    assert (await enqueue(client, {})).status_code == 401
    assert (await client.get(f"/api/v1/jobs/{uuid.uuid4()}")).status_code == 401


async def test_event_streams_of_one_ip_address_are_limited(
    app: FastAPI, client: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient
) -> None:
    headers = await new_user(client, "ada@example.com")
    streams = app.state.resources.streams
    path = f"/api/v1/jobs/{uuid.uuid4()}/events"
    with ExitStack() as stack:
        for _ in range(app.state.resources.settings.api.streams // 2):
            stack.enter_context(streams.few("events", uuid.uuid4(), "127.0.0.1"))
        refused = await client.get(path, headers=headers)
        assert refused.status_code == 429
        assert refused.json()["type"] == "urn:fastapi-base:too-many-at-once"
        assert (await elsewhere.get(path, headers=headers)).status_code == 404
    assert (await client.get(path, headers=headers)).status_code == 404


async def test_job_is_deleted_with_its_owner(
    client: httpx2.AsyncClient, connection: AsyncConnection
) -> None:
    headers = await new_user(client, "ada@example.com")
    await enqueue(client, headers)
    await connection.execute(delete(User).where(col(User.email) == "ada@example.com"))
    assert await connection.scalar(select(func.count()).select_from(Job)) == 0
