"""Jobs, up to the queue. tasks/test_worker.py goes on from there."""

import json
import uuid

import httpx2
import pytest
from redis.asyncio import Redis

from fastapi_base.services.jobs import WORD_COUNT
from tests.integration.accounts import new_user

pytestmark = pytest.mark.anyio


async def enqueue(client: httpx2.AsyncClient, headers: dict[str, str]) -> httpx2.Response:
    return await client.post("/api/v1/jobs/word-count", json={"text": "one fish"}, headers=headers)


async def test_job_is_queued_under_the_id_that_is_returned(
    client: httpx2.AsyncClient, redis: Redis
) -> None:
    headers = await new_user(client, "ada@example.com")
    reply = await enqueue(client, headers)
    assert reply.status_code == 202
    job = reply.json()
    assert reply.headers["location"] == f"/api/v1/jobs/{job['id']}"
    message = json.loads(await redis.lindex("fastapi-base", 0) or "")
    assert message["headers"]["id"] == job["id"]
    assert message["headers"]["task"] == WORD_COUNT
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


async def test_job_is_forgotten_with_its_result(client: httpx2.AsyncClient, redis: Redis) -> None:
    headers = await new_user(client, "ada@example.com")
    job = (await enqueue(client, headers)).json()
    assert 3500 < await redis.ttl(f"fastapi-base:job:{job['id']}") <= 3600


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "x" * 100_001}, {"text": 1}])
async def test_text_that_is_not_valid(client: httpx2.AsyncClient, body: dict[str, object]) -> None:
    headers = await new_user(client, "ada@example.com")
    reply = await client.post("/api/v1/jobs/word-count", json=body, headers=headers)
    assert reply.status_code == 422


async def test_jobs_need_a_token(client: httpx2.AsyncClient) -> None:
    assert (await enqueue(client, {})).status_code == 401
    assert (await client.get(f"/api/v1/jobs/{uuid.uuid4()}")).status_code == 401


async def test_failed_and_running_jobs_say_so(client: httpx2.AsyncClient, redis: Redis) -> None:
    headers = await new_user(client, "ada@example.com")
    reply = await enqueue(client, headers)
    key = f"celery-task-meta-{reply.json()['id']}"
    for state, status in [("STARTED", "running"), ("RETRY", "running"), ("REVOKED", "failed")]:
        await redis.set(key, json.dumps({"status": state, "result": None}))
        seen = await client.get(reply.headers["location"], headers=headers)
        assert (seen.json()["status"], seen.json()["result"]) == (status, None)
