"""Jobs, up to the database. tasks/test_worker.py goes on from there."""

import uuid

import httpx2
import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from fastapi_base.models import Job, User
from tests.integration.accounts import new_user

pytestmark = pytest.mark.anyio


async def enqueue(client: httpx2.AsyncClient, headers: dict[str, str]) -> httpx2.Response:
    return await client.post("/api/v1/jobs/word-count", json={"text": "one fish"}, headers=headers)


async def test_job_is_a_row_under_the_id_that_is_returned(
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


async def test_job_of_somebody_else_does_not_exist(client: httpx2.AsyncClient) -> None:
    ada = await new_user(client, "ada@example.com")
    bob = await new_user(client, "bob@example.com")
    location = (await enqueue(client, ada)).headers["location"]
    foreign = await client.get(location, headers=bob)
    missing = await client.get(f"/api/v1/jobs/{uuid.uuid4()}", headers=bob)
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["type"] == missing.json()["type"] == "urn:fastapi-base:not-found"
    assert foreign.json()["detail"] == missing.json()["detail"]


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "x" * 100_001}, {"text": 1}])
async def test_text_that_is_not_valid(client: httpx2.AsyncClient, body: dict[str, object]) -> None:
    headers = await new_user(client, "ada@example.com")
    reply = await client.post("/api/v1/jobs/word-count", json=body, headers=headers)
    assert reply.status_code == 422


async def test_jobs_need_a_token(client: httpx2.AsyncClient) -> None:
    assert (await enqueue(client, {})).status_code == 401
    assert (await client.get(f"/api/v1/jobs/{uuid.uuid4()}")).status_code == 401


async def test_job_goes_with_its_owner(
    client: httpx2.AsyncClient, connection: AsyncConnection
) -> None:
    headers = await new_user(client, "ada@example.com")
    await enqueue(client, headers)
    await connection.execute(delete(User).where(col(User.email) == "ada@example.com"))
    assert await connection.scalar(select(func.count()).select_from(Job)) == 0
