"""The tiers of the cache: bounded, and not stale when Redis is lost or was changed elsewhere."""

import itertools
import uuid
from pathlib import Path

import pytest
from redis.asyncio import Redis

from fastapi_base.utils.cache import Cache, LocalTier, Namespace, Outcome
from ops.dev.places import free_port
from ops.dev.redis import Redis as Server
from tests.integration.utils import caching
from tests.integration.utils.caching import ADA, LATER, NOW, NUMBERS, Loads
from tests.servers import embedded_redis

pytestmark = pytest.mark.anyio
outcomes = caching.outcomes
make = caching.make
cache = caching.cache


async def test_entries_expire_at_different_times(cache: Cache, redis: Redis) -> None:
    kind = Namespace("n", 1, int, ttl=100, stale=50)
    lives = set()
    for number in range(20):
        key = kind.key(ADA, number)
        await cache.get(key, NOW, Loads().next)
        lives.add(await redis.pttl(key.name) // 100)
        assert 139_000 < await redis.pttl(key.name) <= 150_000
    assert len(lives) > 10
    for name in await redis.keys("*"):
        assert await redis.pttl(name) > 0


async def test_local_tier_is_bounded_in_entries_and_time(redis: Redis) -> None:
    now = 0.0
    outcomes: list[Outcome] = []
    local = LocalTier(2, 1, clock=lambda: now)
    cache = Cache(redis, lambda _, outcome: outcomes.append(outcome), local=local)
    keys, load = [NUMBERS.key(ADA, n) for n in range(3)], Loads()
    for key in itertools.chain(keys, keys):
        await cache.get(key, NOW, load.next)
    outcomes.clear()
    for key in (keys[1], keys[2], keys[0]):
        await cache.get(key, NOW, load.next)
    assert outcomes == [Outcome.LOCAL, Outcome.LOCAL, Outcome.HIT]
    now = 1.0
    for _ in range(2):
        await cache.get(keys[0], NOW, load.next)
    assert outcomes[-2:] == [Outcome.HIT, Outcome.LOCAL]


async def test_local_tier_is_not_stale_after_a_change_elsewhere(redis: Redis) -> None:
    outcomes: list[Outcome] = []
    caches = [
        Cache(redis, lambda _, outcome: outcomes.append(outcome), local=LocalTier(2, 3600))
        for _ in range(2)
    ]
    key, load = NUMBERS.key(ADA, "x"), Loads()
    for _ in range(3):
        assert [await cache.get(key, NOW, load.next) for cache in caches] == [1, 1]
    assert outcomes[-2:] == [Outcome.LOCAL, Outcome.LOCAL]
    assert [await cache.get(key, LATER, load.next) for cache in caches] == [2, 2]


@pytest.mark.parametrize("durable", [True, False])
async def test_without_redis_readers_load_and_its_old_entries_are_not_trusted(
    tmp_path: Path, durable: bool
) -> None:
    server = Server(free_port(), data=tmp_path if durable else None)
    outcomes: list[Outcome] = []
    now = 0.0
    key, load = NUMBERS.key(ADA, "x"), Loads()
    async with Redis.from_url(server.url()) as client:
        cache = Cache(client, lambda _, o: outcomes.append(o), clock=lambda: now)
        with embedded_redis(server):
            assert [await cache.get(key, NOW, load.next) for _ in range(2)] == [1, 1]
        assert [await cache.get(key, NOW, load.next) for _ in range(2)] == [2, 3]
        # Nothing waits for it, and nothing is lost with the process.
        await cache.drop(key)
        with embedded_redis(server):
            assert bool(await client.get(key.name)) == durable
            # The cache still does not contact Redis.
            assert await cache.get(key, LATER, load.next) == 4
            now = 1.0
            assert [await cache.get(key, LATER, load.next) for _ in range(2)] == [5, 5]
    away = [Outcome.ERROR, Outcome.AWAY, Outcome.AWAY]
    assert outcomes == [Outcome.MISS, Outcome.HIT, *away, Outcome.MISS, Outcome.HIT]


async def test_entries_of_releases_without_stamps_are_replaced(cache: Cache, redis: Redis) -> None:
    key, load, word = NUMBERS.key(ADA, "x"), Loads(), uuid.uuid4().hex
    # Its entries started with the words of their tags, and its leases were words.
    await redis.set(key.name, f"{word}\n99")
    await redis.set(key.lease, word, px=60_000)
    assert await cache.get(key, NOW, load.next) == 1
    await redis.set(key.name, f"{word}\n99")
    await redis.set(key.lease, word, px=60_000)
    await cache.drop(key)
    assert await redis.keys("*") == []


async def test_disabled_cache_neither_reads_nor_writes(redis: Redis) -> None:
    outcomes: list[Outcome] = []
    cache = Cache(redis, lambda _, outcome: outcomes.append(outcome), enabled=False)
    load, key = Loads(), NUMBERS.key(ADA, "x")
    assert [await cache.get(key, NOW, load.next) for _ in range(2)] == [1, 2]
    await cache.drop(key)
    assert (outcomes, await redis.keys("*")) == ([], [])
