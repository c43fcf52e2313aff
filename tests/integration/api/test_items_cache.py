"""Cached items are read without the database, and follow every change."""

import uuid

import httpx2
import pytest
from redis.asyncio import Redis

from fastapi_base.api.resources import Resources
from fastapi_base.core.errors import NotFound
from fastapi_base.services import stamps
from fastapi_base.services.items import items
from tests.integration.accounts import new_superuser, new_user
from tests.integration.api import items_reads
from tests.integration.api.items_reads import ANY, reads
from tests.integration.databases import RolledBackDatabase
from tests.integration.queries import counted

pytestmark = pytest.mark.anyio
url = items_reads.url


async def test_second_read_queries_only_the_session(client: httpx2.AsyncClient, url: str) -> None:
    misses, hits = reads("miss"), reads("hit")
    for statements in (2, 1, 1):
        with counted() as seen:
            assert (await client.get(url)).status_code == 200
        assert len(seen) == statements, seen
    assert (reads("miss") - misses, reads("hit") - hits) == (1, 2)


async def test_each_change_is_visible_to_the_next_read(
    client: httpx2.AsyncClient, url: str
) -> None:
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


async def test_cache_entries_are_separate_per_account(client: httpx2.AsyncClient, url: str) -> None:
    assert (await client.get(url)).status_code == 200
    eve = await new_user(client, "eve@example.com")
    for _ in range(2):
        assert (await client.get(url, headers=eve)).status_code == 404
    assert (await client.get(url)).status_code == 200


async def test_entries_are_invalidated_by_commits_and_not_by_rollbacks(
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


async def test_items_of_a_deleted_account_cannot_be_read(
    client: httpx2.AsyncClient, url: str, database: RolledBackDatabase
) -> None:
    await client.patch(url, json={"title": "b"}, headers=ANY)
    assert (await client.get(url)).status_code == 200
    me = uuid.UUID((await client.get("/api/v1/users/me")).json()["id"])
    assert await stamps.of_account(database, me) is not None
    root = await new_superuser(client, database, "root@example.com")
    reply = await client.delete(f"/api/v1/users/{me}", headers=root)
    assert reply.status_code == 204, reply.text
    assert (await client.get(url)).status_code == 401
    # Without a stamp the entry is unreachable; Redis keeps it until it expires.
    with pytest.raises(NotFound):
        await stamps.of_account(database, me)
    assert await stamps.shared(database, me) is None
