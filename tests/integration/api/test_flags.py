"""Feature flags over several processes' worth of applications, with real servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

import httpx2
import openfeature.api
import pytest
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import Reason
from redis.asyncio import Redis
from sqlalchemy import text

from fastapi_base.core.config import FlagSettings, RedisSettings, Settings
from fastapi_base.db.database import EngineDatabase
from fastapi_base.db.engine import create_engine
from fastapi_base.main import create_app
from fastapi_base.services.flags import CHANNEL
from fastapi_base.services.openfeature import DOMAIN
from tests import servers
from tests.calling import calling
from tests.integration.accounts import new_user
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio
FLAGS = "/api/v1/feature-flags"
JOB = {"text": "one fish"}


@pytest.fixture
def settings(make_settings: Callable[[str], Settings], fresh_database_url: str) -> Settings:
    """So patient with polling that only Redis can have told."""
    slow = FlagSettings(flags_poll_seconds=600)
    return make_settings(fresh_database_url).model_copy(update={"flags": slow})


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """An application of its own, as another process would be."""
    app = create_app(settings)
    async with calling(app) as client:
        yield client


async def admin(client: httpx2.AsyncClient, settings: Settings) -> dict[str, str]:
    headers = await new_user(client, "root@example.com")
    engine = create_engine(settings.database)
    async with EngineDatabase(engine).transaction() as session:
        connection = await session.connection()
        await connection.execute(text("UPDATE users SET is_superuser = true"))
    await engine.dispose()
    return headers


async def subscribed(redis: Redis, processes: int) -> None:
    async def all_of_them() -> bool | None:
        [(_, count)] = await redis.pubsub_numsub(CHANNEL)
        return True if count == processes else None

    await until(all_of_them, "all processes listen")


async def enqueues(client: httpx2.AsyncClient, headers: dict[str, str], status: int) -> None:
    """Until the process answers so."""

    async def answer() -> bool | None:
        reply = await client.post("/api/v1/jobs/word-count", json=JOB, headers=headers)
        return True if reply.status_code == status else None

    await until(answer, f"the job is answered with {status}")


async def test_a_change_reaches_every_process_through_redis(
    settings: Settings, redis: Redis
) -> None:
    async with serving(settings) as one, serving(settings) as two:
        root = await admin(one, settings)
        await subscribed(redis, 2)
        await enqueues(two, root, 202)
        on = await one.put(f"{FLAGS}/read-only", json={"value": True}, headers=root)
        assert on.status_code == 200, on.text
        assert on.json()["override"]["value"] is True
        started = asyncio.get_running_loop().time()
        await enqueues(two, root, 503)
        assert asyncio.get_running_loop().time() - started < 1
        refused = await two.post("/api/v1/jobs/word-count", json=JOB, headers=root)
        assert refused.json()["type"] == "urn:fastapi-base:read-only"
        account = {"email": "new@example.com", "password": "correct horse battery staple"}
        refused = await two.post("/api/v1/auth/register", json=account)
        assert refused.json()["type"] == "urn:fastapi-base:read-only"
        # Reading, logging in and switching it off go on.
        assert (await two.get("/api/v1/users/me", headers=root)).status_code == 200
        assert (await two.delete(f"{FLAGS}/read-only", headers=root)).status_code == 204
        await enqueues(one, root, 202)


async def test_a_change_is_found_by_polling_without_redis(settings: Settings) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(servers.redis_server())
        settings = settings.model_copy(
            update={
                "redis": RedisSettings.model_validate({"url": url}),
                "flags": FlagSettings(flags_poll_seconds=0.2),
            }
        )
        async with serving(settings) as one, serving(settings) as two:
            root = await admin(one, settings)
            stack.close()
            on = await one.put(f"{FLAGS}/read-only", json={"value": True}, headers=root)
            assert on.status_code == 200

            async def read_only() -> bool | None:
                reply = await two.post("/api/v1/jobs/word-count", json=JOB, headers=root)
                return True if reply.json().get("type", "").endswith("read-only") else None

            await until(read_only, "the other process has polled")


async def test_a_rollout_by_account_and_by_share(settings: Settings, redis: Redis) -> None:
    async with serving(settings) as client:
        root = await admin(client, settings)
        ada = await new_user(client, "ada@example.com")
        ada_id = (await client.get("/api/v1/users/me", headers=ada)).json()["id"]
        body = {"value": False, "percentage": 0, "user_ids": [ada_id]}
        await client.put(f"{FLAGS}/word-count", json=body, headers=root)
        refused = await client.post("/api/v1/jobs/word-count", json=JOB, headers=ada)
        assert refused.status_code == 404
        assert (
            await client.post("/api/v1/jobs/word-count", json=JOB, headers=root)
        ).status_code == 202
        features = openfeature.api.get_client(domain=DOMAIN)
        found = features.get_boolean_details("word-count", True, EvaluationContext(ada_id))
        assert (found.value, found.reason) == (False, Reason.TARGETING_MATCH)
        assert features.get_boolean_value("word-count", True) is True
        assert features.get_boolean_details("no-such", True).error_code == "FLAG_NOT_FOUND"
        assert features.get_integer_details("word-count", 1).error_code == "TYPE_MISMATCH"


async def test_an_override_outlives_the_processes(settings: Settings, redis: Redis) -> None:
    async with serving(settings) as client:
        root = await admin(client, settings)
        await client.put(f"{FLAGS}/read-only", json={"value": True}, headers=root)
    async with serving(settings) as client:
        await enqueues(client, root, 503)
        listed = (await client.get(FLAGS, headers=root)).json()
    assert [flag["name"] for flag in listed] == ["read-only", "word-count"]
    assert listed[0]["default"] is False
    assert listed[0]["override"] == {"value": True, "percentage": 100, "user_ids": []}
    assert listed[1]["override"] is None


@pytest.mark.parametrize(
    ("name", "body", "status", "kind"),
    [
        ("no-such", {"value": True}, 404, "not-found"),
        ("read-only", {"value": 1}, 422, "wrong-flag-value"),
        ("read-only", {"value": "true"}, 422, "wrong-flag-value"),
        ("read-only", {"value": None}, 422, "invalid-request"),
        ("read-only", {"value": True, "percentage": 101}, 422, "invalid-request"),
        ("read-only", {"value": True, "everybody": True}, 422, "invalid-request"),
    ],
)
async def test_bad_overrides_change_nothing(
    settings: Settings, redis: Redis, name: str, body: dict[str, object], status: int, kind: str
) -> None:
    async with serving(settings) as client:
        root = await admin(client, settings)
        reply = await client.put(f"{FLAGS}/{name}", json=body, headers=root)
        assert reply.status_code == status
        assert reply.json()["type"] == f"urn:fastapi-base:{kind}"
        listed = (await client.get(FLAGS, headers=root)).json()
        assert [flag["override"] for flag in listed] == [None, None]


async def test_only_superusers_may(client: httpx2.AsyncClient) -> None:
    ada = await new_user(client, "ada@example.com")
    for call in (
        client.get(FLAGS, headers=ada),
        client.put(f"{FLAGS}/read-only", json={"value": True}, headers=ada),
        client.delete(f"{FLAGS}/read-only", headers=ada),
    ):
        reply = await call
        assert reply.status_code == 403
        assert reply.json()["type"] == "urn:fastapi-base:forbidden"
    assert (await client.get(FLAGS)).status_code == 401


async def test_changes_are_in_the_audit_log(settings: Settings, redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(serving(settings))
        root = await admin(client, settings)
        await client.put(f"{FLAGS}/read-only", json={"value": True}, headers=root)
        await client.delete(f"{FLAGS}/read-only", headers=root)
    engine = create_engine(settings.database)
    async with EngineDatabase(engine).read() as connection:
        rows = await connection.execute(
            text("SELECT details FROM audit_events WHERE action LIKE 'feature%' ORDER BY id")
        )
        details = [row.details for row in rows]
    await engine.dispose()
    assert [entry.get("value") for entry in details] == ["True", None]
    assert {entry["flag"] for entry in details} == {"read-only"}
