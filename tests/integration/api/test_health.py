"""Readiness with real servers, and without one of them."""

from collections.abc import Callable
from contextlib import ExitStack

import httpx2
import pytest
from redis.asyncio import Redis

from fastapi_base.core.config import RedisSettings, Settings
from fastapi_base.main import create_app
from fastapi_base.services.heartbeat import KEY
from tests import servers
from tests.integration.accounts import PASSWORD, new_user

pytestmark = pytest.mark.anyio


async def test_ready_with_both_servers(client: httpx2.AsyncClient, redis: Redis) -> None:
    reply = await client.get("/health/ready")
    assert reply.status_code == 200
    body = reply.json()
    assert body["status"] == "ready"
    assert all(check["ok"] for check in body["checks"].values())
    assert body["last_heartbeat"] is None
    await redis.set(KEY, "2026-01-31T12:00:00+00:00")
    body = (await client.get("/health/ready")).json()
    assert body["last_heartbeat"] == "2026-01-31T12:00:00Z"


async def test_redis_that_goes_away(
    make_settings: Callable[[str], Settings], fresh_database_url: str
) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(servers.redis_server())
        settings = make_settings(fresh_database_url).model_copy(
            update={"redis": RedisSettings.model_validate({"url": url})}
        )
        app = create_app(settings)
        transport = httpx2.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            headers = await new_user(client, "ada@example.com")
            body = {"text": "one fish"}
            job = await client.post("/api/v1/jobs/word-count", json=body, headers=headers)
            assert job.status_code == 202
            assert (await client.get("/health/ready")).status_code == 200

            stack.close()

            ready = await client.get("/health/ready")
            assert ready.status_code == 503
            assert ready.json()["type"] == "urn:fastapi-base:not-ready"
            checks = ready.json()["checks"]
            assert checks["database"]["ok"]
            assert not checks["redis"]["ok"]
            assert (await client.get("/health/live")).status_code == 200
            # What needs no Redis goes on, what needs it says so.
            assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 200
            own = {"Sec-Fetch-Site": "same-origin"}
            form = {"username": "ada@example.com", "password": PASSWORD}
            refused = await client.post("/api/v1/auth/login?mode=cookie", data=form, headers=own)
            assert refused.status_code == 503
            assert refused.json()["type"] == "urn:fastapi-base:unavailable"
            assert refused.headers["retry-after"]
            # Jobs are taken; the relay publishes them when Redis is back.
            later = await client.post("/api/v1/jobs/word-count", json=body, headers=headers)
            assert later.status_code == 202
            for taken in [job, later]:
                seen = await client.get(taken.headers["location"], headers=headers)
                assert seen.json()["status"] == "queued"
