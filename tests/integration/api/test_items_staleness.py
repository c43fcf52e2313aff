"""Cached items are never stale after a committed write, whatever fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from fastapi_base.core.config import RedisSettings, Settings
from fastapi_base.core.config.cache import CacheSettings
from fastapi_base.main import create_app
from fastapi_base.schemas.items.item import ItemCreate
from ops.dev.places import free_port
from ops.dev.redis import Redis as Server
from ops.measure.chaos.proxy import Proxy
from tests.integration.accounts import new_user
from tests.integration.api import items_reads
from tests.integration.api.items_reads import ANY, PATH, reads
from tests.integration.waiting import until
from tests.servers import embedded_redis

pytestmark = pytest.mark.anyio
url = items_reads.url


class Process:
    """An application that a test starts and ends like a process, with its own client."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()

    async def start(self) -> httpx2.AsyncClient:
        app = create_app(self._settings)
        await self._stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx2.ASGITransport(app=app)
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://test")
        return await self._stack.enter_async_context(self.client)

    async def end(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def process(
    make_settings: Callable[[str], Settings], fresh_database_url: str
) -> AsyncIterator[Callable[..., Process]]:
    """Starts processes on one database that reach Redis on this port, with these settings."""
    made: list[Process] = []

    def make(port: int, timeout: float = 10, **sections: Any) -> Process:
        redis = RedisSettings.model_validate({"url": Server(port).url(), "timeout": timeout})
        settings = make_settings(fresh_database_url).model_copy(update={"redis": redis, **sections})
        made.append(Process(settings))
        return made[-1]

    yield make
    for one in made:
        await one.end()


async def item_read_by(writer: Process, reader: Process) -> str:
    """The URL of an item that was changed once and whose latest state is in Redis."""
    for one in (writer, reader):
        await one.start()
    headers = await new_user(writer.client, "ada@example.com")
    for one in (writer, reader):
        one.client.headers |= headers
    made = await writer.client.post(PATH, json=ItemCreate(title="a").model_dump())
    url = f"{PATH}/{made.json()['id']}"
    assert (await writer.client.patch(url, json={"title": "b"}, headers=ANY)).status_code == 200
    before = reads("hit")
    for _ in range(2):
        assert (await reader.client.get(url)).json()["title"] == "b"
    assert reads("hit") > before
    return url


async def test_redis_restarts_from_its_file_after_the_writer_ended(
    process: Callable[..., Process], tmp_path: Path
) -> None:
    server = Server(free_port(), data=tmp_path)
    writer, reader = process(server.port), process(server.port)
    with embedded_redis(server):
        url = await item_read_by(writer, reader)
    reply = await writer.client.patch(url, json={"title": "c"}, headers=ANY)
    assert reply.status_code == 200, reply.text
    # Everything it knew of the change, apart from the database, is lost.
    await writer.end()
    with embedded_redis(server):

        async def used_again() -> bool | None:
            before = reads("hit")
            assert (await reader.client.get(url)).json()["title"] == "c"
            return reads("hit") > before or None

        await until(used_again, "the cache is used again")


async def test_writer_without_redis_does_not_leave_the_reader_stale(
    process: Callable[..., Process],
) -> None:
    server = Server(free_port())
    with Proxy(server.port) as network, embedded_redis(server):
        writer, reader = process(network.port, timeout=0.5), process(server.port)
        url = await item_read_by(writer, reader)
        for title, part in (("c", network.refuse), ("d", network.freeze)):
            part()
            reply = await writer.client.patch(url, json={"title": title}, headers=ANY)
            assert reply.status_code == 200, reply.text
            assert (await reader.client.get(url)).json()["title"] == title
            network.thaw()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE items SET title = 'c'",
        "DELETE FROM items",
        # As a release without stamps sends it, in more than one statement.
        "UPDATE items SET version = version + 1; UPDATE items SET title = 'c'",
        "UPDATE items SET owner_id = (SELECT id FROM users WHERE email = 'eve@example.com')",
    ],
)
@pytest.mark.parametrize("local", [0, 10])
async def test_commit_is_sufficient_for_invalidation(
    process: Callable[..., Process], fresh_database_url: str, change: str, local: int
) -> None:
    server = Server(free_port())
    cache = CacheSettings(local_entries=local, local_seconds=3600)
    engine = create_async_engine(fresh_database_url)
    with embedded_redis(server):
        writer, reader = process(server.port, cache=cache), process(server.port, cache=cache)
        url = await item_read_by(writer, reader)
        eve = await new_user(writer.client, "eve@example.com")
        for _ in range(2):
            assert (await reader.client.get(url, headers=eve)).status_code == 404
        # Like a process that is killed right after its commit.
        async with engine.begin() as connection:
            for statement in change.split(";"):
                await connection.execute(text(statement))
        reply = await reader.client.get(url)
        if "SET title" in change:
            assert reply.json()["title"] == "c"
        else:
            assert reply.status_code == 404
        status = (await reader.client.get(url, headers=eve)).status_code
        assert status == (200 if "owner_id" in change else 404)
    await engine.dispose()


@pytest.mark.parametrize("ends", ["COMMIT", "ROLLBACK"])
async def test_change_is_visible_exactly_from_its_commit(
    process: Callable[..., Process], fresh_database_url: str, ends: str
) -> None:
    server = Server(free_port())
    engine = create_async_engine(fresh_database_url)
    with embedded_redis(server):
        writer, reader = process(server.port), process(server.port)
        url = await item_read_by(writer, reader)
        async with engine.connect() as connection:
            await connection.execute(text("UPDATE items SET title = 'c'"))
            for _ in range(3):
                assert (await reader.client.get(url)).json()["title"] == "b"
            await connection.execute(text(ends))
            expected = "c" if ends == "COMMIT" else "b"
            for _ in range(3):
                assert (await reader.client.get(url)).json()["title"] == expected
    await engine.dispose()


async def test_changes_of_one_owner_in_opposite_order_do_not_deadlock(
    process: Callable[..., Process], fresh_database_url: str
) -> None:
    server = Server(free_port())
    engine = create_async_engine(fresh_database_url)
    change = text("UPDATE items SET title = :title WHERE title = :before")
    with embedded_redis(server):
        writer, reader = process(server.port), process(server.port)
        url = await item_read_by(writer, reader)
        await writer.client.post(PATH, json={"title": "other"})
        async with engine.begin() as one:
            await one.execute(change, {"before": "b", "title": "c"})
            async with asyncio.timeout(30), engine.begin() as two:
                await two.execute(change, {"before": "other", "title": "another"})
            await one.execute(change, {"before": "another", "title": "d"})
        assert (await reader.client.get(url)).json()["title"] == "c"
    await engine.dispose()


async def test_account_is_deleted_while_one_of_its_items_changes(
    process: Callable[..., Process], fresh_database_url: str
) -> None:
    server = Server(free_port())
    engine = create_async_engine(fresh_database_url)
    waits = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with embedded_redis(server):
        await item_read_by(process(server.port), process(server.port))

        async def remove() -> None:
            async with engine.begin() as connection:
                await connection.execute(text("DELETE FROM users"))

        async with engine.begin() as one:
            await one.execute(text("UPDATE items SET title = 'c'"))
            removal = asyncio.create_task(remove())

            async def waiting() -> bool | None:
                async with engine.connect() as connection:
                    return bool(await connection.scalar(text(waits))) or None

            await until(waiting, "the removal waits for the change")
        async with asyncio.timeout(30):
            await removal
        async with engine.connect() as connection:
            left = await connection.scalar(text("SELECT count(*) FROM cache_stamps"))
    assert left == 0
    await engine.dispose()


async def test_no_read_fails_or_is_stale_while_redis_restarts(
    process: Callable[..., Process], tmp_path: Path
) -> None:
    server = Server(free_port(), data=tmp_path)
    with ExitStack() as running:
        running.enter_context(embedded_redis(server))
        clients = [await process(server.port).start() for _ in range(2)]
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

            await until(grown, f"requests succeed and the cache records {outcome}")

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
        # Tasks that did not end, or failed, report where.
        assert [task.get_stack() for task in work if not task.cancelled()] == []
