"""Readiness with real servers, and without one of them."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis

from fastapi_base.core.config import AppSettings, RedisSettings, Settings
from fastapi_base.core.config_observability import HealthSettings
from fastapi_base.main import create_app
from fastapi_base.services.heartbeat import KEY
from tests import servers
from tests.calling import calling
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
        async with calling(app) as client:
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


async def probe(
    settings: Settings, path: str, token: str | None = None
) -> tuple[int, dict[str, Any]]:
    """One probe of a fresh process."""
    app = create_app(settings)
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    async with calling(app) as client:
        reply = await client.get(path, headers=headers)
    return reply.status_code, reply.json()


def without_redis(settings: Settings, **health: object) -> Settings:
    nobody = RedisSettings.model_validate({"url": "redis://127.0.0.1:9/0"})
    policy = HealthSettings.model_validate(health)
    return settings.model_copy(update={"redis": nobody, "health": policy})


async def test_policy_says_what_readiness_needs(settings: Settings) -> None:
    status, body = await probe(without_redis(settings), "/health/ready")
    assert (status, body["type"]) == (503, "urn:fastapi-base:not-ready")
    status, body = await probe(without_redis(settings, required="database"), "/health/ready")
    assert status == 200
    # It is looked at all the same.
    assert not body["checks"]["redis"]["ok"]


@pytest.mark.parametrize("ready", [True, False])
async def test_details_are_for_operators(settings: Settings, ready: bool) -> None:
    secret = "operators" * 4
    given = without_redis(settings, token=secret, required="database" if ready else "redis")
    for token, detailed in ((None, False), ("wrong", False), (secret, True)):
        status, body = await probe(given, "/health/ready", token)
        assert status == (200 if ready else 503)
        assert bool(body.get("checks")) is detailed
        assert ("redis" in json.dumps(body)) is detailed


async def test_production_shows_nobody_details_without_a_token(settings: Settings) -> None:
    production = AppSettings(environment="production")
    given = settings.model_copy(update={"app": production})
    status, body = await probe(given, "/health/ready")
    assert status == 200
    assert not body["checks"]


async def test_startup_is_over_when_it_was_ready_once(
    make_settings: Callable[[str], Settings], fresh_database_url: str
) -> None:
    alone = without_redis(make_settings(fresh_database_url))
    assert (await probe(alone, "/health/startup"))[0] == 503
    with ExitStack() as stack:
        url = stack.enter_context(servers.redis_server())
        settings = make_settings(fresh_database_url).model_copy(
            update={"redis": RedisSettings.model_validate({"url": url})}
        )
        app = create_app(settings)
        async with calling(app) as client:
            assert (await client.get("/health/startup")).json() == {"status": "started"}
            stack.close()
            assert (await client.get("/health/ready")).status_code == 503
            assert (await client.get("/health/startup")).status_code == 200
