"""Readiness with both real servers, and without one of them."""

import io
import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from fastapi_base.core.config import AppSettings, RedisSettings, Settings
from fastapi_base.core.config.observability import HealthSettings, LogSettings
from fastapi_base.db.session import Database
from fastapi_base.main import create_app
from fastapi_base.services.flags.flags import Flags
from fastapi_base.services.health.heartbeat import KEY
from tests import servers
from tests.calling import calling
from tests.integration.accounts import PASSWORD, new_user
from tests.integration.waiting import until

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


async def test_readiness_without_redis(
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
            # Features without Redis still work; the others report it as unavailable.
            assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 200
            own = {"Sec-Fetch-Site": "same-origin"}
            form = {"username": "ada@example.com", "password": PASSWORD}
            refused = await client.post("/api/v1/auth/login?mode=cookie", data=form, headers=own)
            assert refused.status_code == 503
            assert refused.json()["type"] == "urn:fastapi-base:unavailable"
            assert refused.headers["retry-after"]
            # Jobs are accepted; the relay publishes them when Redis is back.
            later = await client.post("/api/v1/jobs/word-count", json=body, headers=headers)
            assert later.status_code == 202
            for taken in [job, later]:
                seen = await client.get(taken.headers["location"], headers=headers)
                assert seen.json()["status"] == "queued"


async def probe(
    settings: Settings, path: str, token: str | None = None, scheme: str = "Bearer"
) -> tuple[int, dict[str, Any]]:
    """One probe of a new process."""
    app = create_app(settings)
    headers = {} if token is None else {"authorization": f"{scheme} {token}"}
    async with calling(app) as client:
        reply = await client.get(path, headers=headers)
    return reply.status_code, reply.json()


def without_redis(settings: Settings, **health: object) -> Settings:
    nobody = RedisSettings.model_validate({"url": "redis://127.0.0.1:9/0"})
    policy = HealthSettings.model_validate(health)
    return settings.model_copy(update={"redis": nobody, "health": policy})


async def test_policy_decides_what_readiness_requires(settings: Settings) -> None:
    status, body = await probe(without_redis(settings), "/health/ready")
    assert (status, body["type"]) == (503, "urn:fastapi-base:not-ready")
    status, body = await probe(without_redis(settings, required="database"), "/health/ready")
    assert status == 200
    # It is checked nevertheless.
    assert not body["checks"]["redis"]["ok"]


@pytest.mark.parametrize("ready", [True, False])
async def test_details_require_the_operators_token(settings: Settings, ready: bool) -> None:
    secret = "operators" * 4
    given = without_redis(settings, token=secret, required="database" if ready else "redis")
    for token, detailed in ((None, False), ("wrong", False), (secret, True)):
        status, body = await probe(given, "/health/ready", token)
        assert status == (200 if ready else 503)
        assert bool(body.get("checks")) is detailed
        assert ("redis" in json.dumps(body)) is detailed
    # Scheme names are case-insensitive (RFC 9110, 11.1).
    assert (await probe(given, "/health/ready", secret, "bearer"))[1].get("checks")
    assert not (await probe(given, "/health/ready", secret, "Basic"))[1].get("checks")


async def test_production_hides_details_without_a_token(settings: Settings) -> None:
    production = AppSettings(environment="production")
    given = settings.model_copy(update={"app": production})
    status, body = await probe(given, "/health/ready")
    assert status == 200
    assert not body["checks"]


async def test_startup_completes_after_the_first_readiness(
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


STATES: dict[str, list[tuple[str, ...]]] = {
    "OutOfMemoryError": [("CONFIG", "SET", "maxmemory", "1")],
    "ReadOnlyError": [("REPLICAOF", "127.0.0.1", "9")],
    "ResponseError": [("CONFIG", "SET", "min-replicas-to-write", "3")],
    "NoPermissionError": [("ACL", "SETUSER", "default", "-set")],
    "AuthenticationError": [
        ("CONFIG", "SET", "requirepass", "hunter2"),
        ("CLIENT", "KILL", "TYPE", "normal"),
    ],
}


async def test_unusable_redis_is_not_ready(settings: Settings) -> None:
    for kind, commands in STATES.items():
        with servers.redis_server() as url:
            given = settings.model_copy(
                update={"redis": RedisSettings.model_validate({"url": url})}
            )
            async with calling(create_app(given)) as client, Redis.from_url(url) as operator:
                assert (await client.get("/health/ready")).status_code == 200
                for command in commands:
                    await operator.execute_command(*command)  # type: ignore[no-untyped-call]
                reply = await client.get("/health/ready")
                assert reply.status_code == 503, kind
                assert reply.json()["checks"]["redis"]["error"] == kind
                assert "hunter2" not in reply.text


async def test_read_only_database_is_not_ready(
    make_settings: Callable[[str], Settings], fresh_database_url: str
) -> None:
    engine = create_async_engine(fresh_database_url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        name = await connection.scalar(text("SELECT current_database()"))
        await connection.execute(
            text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        )
    await engine.dispose()
    status, body = await probe(make_settings(fresh_database_url), "/health/ready")
    assert status == 503
    assert body["checks"]["database"]["error"] == "TakesNoWrites"


async def test_database_without_tables_is_not_ready(
    make_settings: Callable[[str], Settings], empty_database_url: str
) -> None:
    status, body = await probe(make_settings(empty_database_url), "/health/ready")
    assert status == 503
    assert body["checks"]["database"]["error"] == "NotMigrated"


async def test_cause_of_a_failing_check_is_logged_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    given = without_redis(settings).model_copy(update={"log": LogSettings(format="json")})
    async with calling(create_app(given)) as client:
        for _ in range(3):
            assert (await client.get("/health/ready")).status_code == 503
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    (event,) = (e for e in events if e["event"] == "a server cannot be used")
    assert event["server"] == "redis"
    assert "ConnectionError" in event["error"]


async def test_background_error_stops_neither_the_work_nor_the_application(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = True
    read = Flags.read_from

    async def fail(self: Flags, database: Database) -> None:
        if broken:
            raise LookupError("not foreseen")
        await read(self, database)

    monkeypatch.setattr(Flags, "read_from", fail)
    async with calling(create_app(settings)) as client:

        async def flags(ok: bool) -> bool | None:
            body = (await client.get("/health/ready")).json()
            return True if body["background"]["flags"]["ok"] is ok else None

        await until(lambda: flags(False), "the failure of the flags is reported")
        # Everything that was opened is still open.
        assert (await client.get("/api/v1/feature-flags")).status_code == 401
        assert (await client.get("/health/ready")).status_code == 200
        broken = False
        await until(lambda: flags(True), "flags recover")
