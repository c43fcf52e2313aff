"""Feature flags across several application instances, with real servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openfeature.api
import pytest
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import Reason
from redis.asyncio import Redis
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fastapi_base.core.config import FlagSettings, RedisSettings, Settings
from fastapi_base.core.errors import Overloaded
from fastapi_base.core.flags import READ_ONLY
from fastapi_base.core.ids import uuid7
from fastapi_base.core.runtime import background
from fastapi_base.core.security.caller import Origin
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.main import create_app
from fastapi_base.models.flags.flag import FlagOverride
from fastapi_base.schemas.flags.flag import OverrideWrite
from fastapi_base.services.flags import flags
from fastapi_base.services.flags.flags import CHANNEL, Snapshot
from fastapi_base.services.flags.openfeature import DOMAIN
from ops.dev.places import free_port
from ops.dev.redis import Redis as Server
from ops.measure.chaos.proxy import Proxy
from tests import servers
from tests.calling import calling
from tests.integration.accounts import new_user
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio
FLAGS = "/api/v1/feature-flags"
JOB = {"text": "one fish"}


@pytest.fixture
def settings(make_settings: Callable[[str], Settings], fresh_database_url: str) -> Settings:
    """Settings that poll so rarely that only Redis can have announced a change."""
    slow = FlagSettings(flags_poll_seconds=600)
    return make_settings(fresh_database_url).model_copy(update={"flags": slow})


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A separate application instance, like another process."""
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
    """Wait until the process answers like this."""

    async def answer() -> bool | None:
        reply = await client.post("/api/v1/jobs/word-count", json=JOB, headers=headers)
        return True if reply.status_code == status else None

    await until(answer, f"the job is answered with {status}")


async def test_change_reaches_every_process_through_redis(settings: Settings, redis: Redis) -> None:
    async with serving(settings) as one, serving(settings) as two:
        root = await admin(one, settings)
        await subscribed(redis, 2)
        await enqueues(two, root, 202)
        on = await one.put(f"{FLAGS}/read-only", json={"value": True}, headers=root)
        assert on.status_code == 200, on.text
        assert on.json()["override"]["value"] is True
        await enqueues(two, root, 503)
        refused = await two.post("/api/v1/jobs/word-count", json=JOB, headers=root)
        assert refused.json()["type"] == "urn:fastapi-base:read-only"
        account = {"email": "new@example.com", "password": "correct horse battery staple"}
        refused = await two.post("/api/v1/auth/register", json=account)
        assert refused.json()["type"] == "urn:fastapi-base:read-only"
        # Reading, logging in and disabling the mode still work.
        assert (await two.get("/api/v1/users/me", headers=root)).status_code == 200
        assert (await two.delete(f"{FLAGS}/read-only", headers=root)).status_code == 204
        await enqueues(one, root, 202)


@pytest.mark.parametrize("fault", ["gone", "silent"])
async def test_change_is_found_by_polling_without_redis(settings: Settings, fault: str) -> None:
    # The documented bound: within a second.
    assert FlagSettings().flags_poll_seconds < 1
    server = Server(free_port())
    with ExitStack() as redis, Proxy(server.port) as network:
        redis.enter_context(servers.embedded_redis(server))

        def reaching(port: int) -> Settings:
            found = RedisSettings.model_validate({"url": Server(port).url()})
            return settings.model_copy(update={"redis": found, "flags": FlagSettings()})

        async with serving(reaching(server.port)) as one, serving(reaching(network.port)) as two:
            root = await admin(one, settings)
            await enqueues(two, root, 202)
            if fault == "gone":
                redis.close()
            else:
                # Nothing signals that the subscribed connection is dead.
                network.freeze()
            on = await one.put(f"{FLAGS}/read-only", json={"value": True}, headers=root)
            assert on.status_code == 200

            async def read_only() -> bool | None:
                reply = await two.post("/api/v1/jobs/word-count", json=JOB, headers=root)
                return True if reply.json().get("type", "").endswith("read-only") else None

            await until(read_only, "the other process has polled")


async def test_change_is_received_after_a_silent_network_failure(
    settings: Settings, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flags, "LOOK_SECONDS", 0.3)
    parts = urlsplit(redis_url)
    assert parts.port
    with Proxy(parts.port) as network:
        place = parts.netloc.replace(f":{parts.port}", f":{network.port}")
        behind = RedisSettings.model_validate({"url": parts._replace(netloc=place).geturl()})
        cut_off = settings.model_copy(update={"redis": behind})
        async with serving(settings) as one, serving(cut_off) as two:
            root = await admin(one, settings)
            await subscribed(redis, 2)
            network.freeze()

            async def noticed() -> bool | None:
                return None if background.states()["flags-notices"].ok else True

            await until(noticed, "the lost connection is detected")
            on = await one.put(f"{FLAGS}/read-only", json={"value": True}, headers=root)
            assert on.status_code == 200
            network.thaw()
            await enqueues(two, root, 503)


async def test_slow_read_does_not_overwrite_a_later_one(
    settings: Settings,
) -> None:
    class Delayed(EngineDatabase):
        """Returns the connection, with the data that was read, only when released."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.holds = False
            self.held, self.let_go = asyncio.Event(), asyncio.Event()

        @asynccontextmanager
        async def read(self) -> AsyncIterator[AsyncConnection]:
            holds, self.holds = self.holds, False
            async with super().read() as connection:
                yield connection
                if holds:
                    self.held.set()
                    await self.let_go.wait()

    engine = create_engine(settings.database)
    database, snapshot = Delayed(engine), Snapshot()
    database.holds = True
    early = asyncio.create_task(snapshot.read_from(database))
    await database.held.wait()
    async with database.transaction() as session:
        row = {"name": READ_ONLY.name, "value": True, "percentage": 100}
        await session.exec(insert(FlagOverride).values(**row))
    await snapshot.read_from(database)
    assert snapshot.value(READ_ONLY) is True
    database.let_go.set()
    await early
    assert snapshot.value(READ_ONLY) is True
    await engine.dispose()


async def test_committed_change_is_announced_although_the_database_fails_then(
    settings: Settings, redis: Redis
) -> None:
    class Failing(EngineDatabase):
        """Commits, and then does not answer reads."""

        @asynccontextmanager
        async def read(self) -> AsyncIterator[AsyncConnection]:
            raise Overloaded("all database connections are in use")
            yield

    engine = create_engine(settings.database)
    changing = flags.Flags(Failing(engine), redis)
    given = OverrideWrite(value=True, percentage=50, user_ids=[])
    async with redis.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(CHANNEL)
        await subscribed(redis, 1)
        changed = await changing.override(READ_ONLY.name, given, actor=uuid7(), origin=Origin())
        assert changed.override == given

        async def told() -> bool | None:
            return (await channel.get_message()) is not None or None

        await until(told, "the change is announced")
        await changing.reset(READ_ONLY.name, actor=uuid7(), origin=Origin())
        await until(told, "the reset is announced")
    await engine.dispose()


async def test_rollout_by_account_and_by_percentage(settings: Settings, redis: Redis) -> None:
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


async def test_override_survives_restarts(settings: Settings, redis: Redis) -> None:
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
async def test_invalid_overrides_change_nothing(
    settings: Settings, redis: Redis, name: str, body: dict[str, object], status: int, kind: str
) -> None:
    async with serving(settings) as client:
        root = await admin(client, settings)
        reply = await client.put(f"{FLAGS}/{name}", json=body, headers=root)
        assert reply.status_code == status
        assert reply.json()["type"] == f"urn:fastapi-base:{kind}"
        listed = (await client.get(FLAGS, headers=root)).json()
        assert [flag["override"] for flag in listed] == [None, None]


async def test_only_superusers_manage_flags(client: httpx2.AsyncClient) -> None:
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


async def test_changes_are_audited(settings: Settings, redis: Redis) -> None:
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
