"""Items are read through the cache: never older than the last change, with Redis and without."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack

import httpx2
import pytest
from redis.asyncio import Redis

from fastapi_base.api.resources import Resources
from fastapi_base.core.config import RedisSettings, Settings
from fastapi_base.core.errors import NotFound
from fastapi_base.core.metrics import REGISTRY
from fastapi_base.main import create_app
from fastapi_base.schemas.item import ItemCreate
from fastapi_base.services import items
from ops.dev.places import free_port
from ops.dev.redis import Redis as Server
from tests.integration.accounts import new_superuser, new_user
from tests.integration.databases import RolledBackDatabase
from tests.integration.queries import counted
from tests.integration.waiting import until
from tests.servers import embedded_redis

pytestmark = pytest.mark.anyio
PATH = "/api/v1/items"
ANY = {"If-Match": "*"}


def reads(outcome: str) -> float:
    labels = {"namespace": "items", "outcome": outcome}
    return REGISTRY.get_sample_value("cache_reads_total", labels) or 0


@pytest.fixture
async def url(client: httpx2.AsyncClient) -> str:
    """An item of Ada's, who is logged in."""
    client.headers |= await new_user(client, "ada@example.com")
    return f"{PATH}/{(await client.post(PATH, json={'title': 'a'})).json()['id']}"


async def test_a_second_read_asks_the_database_for_the_session_alone(
    client: httpx2.AsyncClient, url: str
) -> None:
    misses, hits = reads("miss"), reads("hit")
    for statements in (2, 1, 1):
        with counted() as seen:
            assert (await client.get(url)).status_code == 200
        assert len(seen) == statements, seen
    assert (reads("miss") - misses, reads("hit") - hits) == (1, 2)


async def test_each_change_is_seen_by_the_next_read(client: httpx2.AsyncClient, url: str) -> None:
    async def title() -> str | None:
        reply = await client.get(url)
        return reply.json()["title"] if reply.status_code == 200 else None

    assert await title() == "a"
    await client.patch(url, json={"title": "b"}, headers=ANY)
    assert await title() == "b"
    await client.delete(url, headers=ANY)
    assert await title() is None
    await client.post(f"{url}/restore")
    assert await title() == "b"


async def test_what_is_cached_for_one_is_not_there_for_another(
    client: httpx2.AsyncClient, url: str
) -> None:
    assert (await client.get(url)).status_code == 200
    eve = await new_user(client, "eve@example.com")
    for _ in range(2):
        assert (await client.get(url, headers=eve)).status_code == 404
    assert (await client.get(url)).status_code == 200


async def test_the_cache_is_told_after_the_commit_and_not_of_a_rollback(
    client: httpx2.AsyncClient, url: str, database: RolledBackDatabase, redis: Redis
) -> None:
    async def cached() -> list[bytes | str]:
        return list(await redis.keys("cache:items:*"))

    assert (await client.get(url)).status_code == 200
    (entry,) = await cached()
    resources: Resources = client._transport.app.state.resources  # type: ignore[attr-defined]
    me = (await client.get("/api/v1/users/me")).json()
    owner, item = (uuid.UUID(text) for text in (me["id"], url.rpartition("/")[2]))

    async def change_and_fail() -> None:
        async with database.transaction() as session:
            await items.change(session, resources.cache, owner, item, None, {"title": "b"})
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await change_and_fail()
    assert await cached() == [entry]
    async with database.transaction() as session:
        await items.change(session, resources.cache, owner, item, None, {"title": "b"})
        assert await cached() == [entry]
    assert await cached() == []


async def test_of_an_account_that_is_removed_nothing_can_be_read(
    client: httpx2.AsyncClient, url: str, database: RolledBackDatabase
) -> None:
    assert (await client.get(url)).status_code == 200
    me = (await client.get("/api/v1/users/me")).json()
    root = await new_superuser(client, database, "root@example.com")
    reply = await client.delete(f"/api/v1/users/{me['id']}", headers=root)
    assert reply.status_code == 204, reply.text
    resources: Resources = client._transport.app.state.resources  # type: ignore[attr-defined]
    owner, item = (uuid.UUID(text) for text in (me["id"], url.rpartition("/")[2]))
    with pytest.raises(NotFound):
        await items.get(resources.cache, database, owner, item)


@pytest.fixture
async def two(
    make_settings: Callable[[str], Settings], fresh_database_url: str
) -> AsyncIterator[tuple[Server, list[httpx2.AsyncClient]]]:
    """Two applications, as two processes are, with a Redis that a test starts and stops."""
    server = Server(free_port())
    redis = RedisSettings.model_validate({"url": server.url()})
    settings = make_settings(fresh_database_url).model_copy(update={"redis": redis})
    async with AsyncExitStack() as stack:
        clients = []
        for app in (create_app(settings), create_app(settings)):
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx2.ASGITransport(app=app)
            client = httpx2.AsyncClient(transport=transport, base_url="http://test")
            clients.append(await stack.enter_async_context(client))
        yield server, clients


async def test_no_read_fails_or_is_outdated_while_redis_goes_and_comes(
    two: tuple[Server, list[httpx2.AsyncClient]],
) -> None:
    server, clients = two
    with ExitStack() as running:
        running.enter_context(embedded_redis(server))
        headers = await new_user(clients[0], "ada@example.com")
        for client in clients:
            client.headers |= headers
        made = await clients[0].post(PATH, json=ItemCreate(title="a").model_dump())
        url = f"{PATH}/{made.json()['id']}"
        confirmed = 1
        counts = {"read": 0, "written": 0}

        async def read(client: httpx2.AsyncClient) -> None:
            while True:
                at_least = confirmed
                reply = await client.get(url)
                assert reply.status_code == 200, reply.text
                assert reply.json()["version"] >= at_least
                counts["read"] += 1

        async def write() -> None:
            nonlocal confirmed
            while True:
                reply = await clients[0].patch(url, json={"title": "b"}, headers=ANY)
                assert reply.status_code == 200, reply.text
                confirmed = reply.json()["version"]
                counts["written"] += 1
                await asyncio.sleep(0.01)

        work = [asyncio.create_task(read(client)) for client in clients for _ in range(3)]
        work.append(asyncio.create_task(write()))

        async def goes_on(outcome: str) -> None:
            before, start = reads(outcome), dict(counts)

            async def grown() -> bool | None:
                for task in work:
                    if task.done():
                        task.result()
                more = all(counts[kind] >= start[kind] + 20 for kind in counts)
                return (more and reads(outcome) > before) or None

            await until(grown, f"load goes on with {outcome}")

        try:
            await goes_on("hit")
            await asyncio.to_thread(running.close)
            await goes_on("away")
            running.enter_context(embedded_redis(server))
            await goes_on("hit")
        finally:
            for task in work:
                task.cancel()
            await asyncio.wait(work, timeout=30)
        # What did not end, or ended by an error, says where.
        assert [task.get_stack() for task in work if not task.cancelled()] == []
