"""Requests with an idempotency key, on a separate database with real commits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI, Response
from pydantic import BaseModel
from redis.asyncio import Redis
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.api.dependencies.idempotency import OnceDep
from fastapi_base.api.deps import SessionDep
from fastapi_base.core.config import DatabaseSettings, Settings
from fastapi_base.core.errors import NotFound
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.main import create_app
from fastapi_base.services.limits import idempotency
from tests.calling import calling
from tests.integration.accounts import new_user

pytestmark = pytest.mark.anyio


class Deed(BaseModel):
    """The request and the effect."""

    what: str = "good"
    fail: bool = False


async def run(session: AsyncSession, statement: str, **values: str) -> None:
    await (await session.connection()).execute(text(statement), values)


@pytest.fixture
def settings(make_settings: Callable[[str], Settings], fresh_database_url: str) -> Settings:
    made = make_settings(fresh_database_url)
    patient = made.database.model_copy(update={"lock_timeout": 0.3})
    assert isinstance(patient, DatabaseSettings)
    return made.model_copy(update={"database": patient})


@pytest.fixture
def gate() -> asyncio.Event:
    """Open unless a test closes it: the route waits here before it returns."""
    event = asyncio.Event()
    event.set()
    return event


@pytest.fixture
async def client(
    settings: Settings, redis: Redis, gate: asyncio.Event
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application with real commits and a route that counts its effects."""
    app = create_app(settings)
    _add_route(app, gate)
    engine = create_engine(settings.database)
    async with EngineDatabase(engine).transaction() as session:
        await run(session, "CREATE TABLE deeds (what text)")
    await engine.dispose()
    async with calling(app) as opened:
        opened.headers |= await new_user(opened, "ada@example.com")
        yield opened


def _add_route(app: FastAPI, gate: asyncio.Event) -> None:
    @app.post("/deeds", status_code=201)
    async def do(body: Deed, response: Response, once: OnceDep) -> Deed:
        async def work(session: AsyncSession) -> Deed:
            await run(session, "INSERT INTO deeds VALUES (:what)", what=body.what)
            await gate.wait()
            if body.fail:
                raise NotFound
            response.headers["Location"] = f"/deeds/{body.what}"
            return body

        return await once(Deed, work, status=201)

    @app.get("/deeds")
    async def count(session: SessionDep) -> int:
        return int(await session.scalar(text("SELECT count(*) FROM deeds")) or 0)


async def do(client: httpx2.AsyncClient, key: str | None = "k1", **body: object) -> httpx2.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post("/deeds", json=body, headers=headers)


async def effects(client: httpx2.AsyncClient) -> int:
    return int((await client.get("/deeds")).json())


async def test_retry_gets_the_first_reply(client: httpx2.AsyncClient) -> None:
    first, second = await do(client), await do(client)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["location"] == first.headers["location"] == "/deeds/good"
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert await effects(client) == 1


async def test_without_a_key_each_attempt_takes_effect(client: httpx2.AsyncClient) -> None:
    await do(client, None)
    await do(client, None)
    assert await effects(client) == 2


async def test_concurrent_attempts_take_effect_once(client: httpx2.AsyncClient) -> None:
    replies = await asyncio.gather(*(do(client) for _ in range(8)))
    assert {reply.status_code for reply in replies} == {201}
    assert sum("idempotency-replayed" in reply.headers for reply in replies) == 7
    assert await effects(client) == 1


async def test_attempt_that_waits_too_long_is_refused(
    client: httpx2.AsyncClient, gate: asyncio.Event
) -> None:
    gate.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(do(client))
        refused = group.create_task(do(client))
        done, _ = await asyncio.wait({first, refused}, return_when=asyncio.FIRST_COMPLETED)
        [late] = done
        assert late.result().status_code == 409
        assert late.result().json()["type"] == "urn:fastapi-base:idempotency-key-in-use"
        assert late.result().headers["retry-after"] == "1"
        gate.set()
    assert sorted(reply.result().status_code for reply in (first, refused)) == [201, 409]
    assert await effects(client) == 1


async def test_key_is_bound_to_one_request(client: httpx2.AsyncClient) -> None:
    await do(client)
    other = await do(client, what="other")
    assert other.status_code == 422
    assert other.json()["type"] == "urn:fastapi-base:idempotency-key-reused"
    assert await effects(client) == 1


async def test_failed_attempt_stores_nothing(client: httpx2.AsyncClient) -> None:
    assert (await do(client, fail=True)).status_code == 404
    assert await effects(client) == 0
    # Not even the key: another request may use it.
    assert (await do(client, what="other")).status_code == 201


async def test_keys_are_scoped_to_their_account(client: httpx2.AsyncClient) -> None:
    await do(client)
    client.headers |= await new_user(client, "bob@example.com")
    reply = await do(client, what="mine")
    assert reply.status_code == 201
    assert reply.json()["what"] == "mine"


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "tab\tkey"])
async def test_invalid_keys_are_refused(client: httpx2.AsyncClient, key: str) -> None:
    reply = await client.post("/deeds", json={}, headers={"Idempotency-Key": key})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["location"] == ["header", "Idempotency-Key"]


async def test_expired_keys_are_removed(client: httpx2.AsyncClient, settings: Settings) -> None:
    await do(client)
    engine = create_engine(settings.database)
    database = EngineDatabase(engine)
    async with database.transaction() as session:
        await run(session, "UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    assert (await do(client, what="other")).status_code == 201
    assert await idempotency.purge(database, timedelta(hours=1)) == 0
    assert await idempotency.purge(database, timedelta(hours=-1)) == 1
    await engine.dispose()


async def test_job_is_enqueued_once(client: httpx2.AsyncClient) -> None:
    body = {"text": "one fish"}
    headers = {"Idempotency-Key": "job-1"}
    jobs = [
        await client.post("/api/v1/jobs/word-count", json=body, headers=headers) for _ in range(2)
    ]
    assert [job.status_code for job in jobs] == [202, 202]
    assert jobs[0].json() == jobs[1].json()
    assert jobs[0].headers["location"] == jobs[1].headers["location"]
