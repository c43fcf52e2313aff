"""The cache against a real Redis: one load for all, nothing outdated, nothing of others."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from fastapi_base.utils.cache import Cache, LocalTier, Namespace, Outcome, owner_tag
from ops.dev.places import free_port
from ops.dev.redis import Redis as Server
from tests.integration.waiting import until
from tests.servers import embedded_redis

pytestmark = pytest.mark.anyio

ADA, EVE = uuid.UUID(int=1), uuid.UUID(int=2)
NUMBERS = Namespace("numbers", 1, int, ttl=60, stale=60, absent=60)


class Loads:
    """Loads 1, 2, ... and counts; waits before it answers where a test says so."""

    def __init__(self) -> None:
        self.count = 0
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def next(self) -> int | None:
        self.count += 1
        found = self.count
        await self.let_go.wait()
        return found


async def nothing() -> None:
    return None


@pytest.fixture
async def outcomes() -> list[Outcome]:
    return []


@pytest.fixture
async def make(
    redis: Redis, redis_url: str, outcomes: list[Outcome]
) -> AsyncIterator[Callable[[], Cache]]:
    """Caches with connections of their own, as each process has them."""
    opened: list[tuple[Cache, Redis]] = []

    def one() -> Cache:
        client = Redis.from_pool(BlockingConnectionPool.from_url(redis_url, max_connections=20))
        opened.append((Cache(client, lambda _, outcome: outcomes.append(outcome)), client))
        return opened[-1][0]

    yield one
    for cache, client in opened:
        await cache.aclose()
        await client.aclose()


@pytest.fixture
def cache(make: Callable[[], Cache]) -> Cache:
    return make()


async def seen[T](ask: Callable[[], Awaitable[T]], wanted: T, what: str) -> None:
    """Wait until asking gives this."""

    async def there() -> bool | None:
        return await ask() == wanted or None

    await until(there, what)


async def test_a_value_is_loaded_once(cache: Cache, outcomes: list[Outcome]) -> None:
    load, key = Loads(), NUMBERS.key(ADA, "x")
    assert [await cache.get(key, load.next) for _ in range(3)] == [1, 1, 1]
    assert outcomes == [Outcome.MISS, Outcome.HIT, Outcome.HIT]


async def test_readers_at_once_share_one_load_in_all_processes(
    make: Callable[[], Cache], redis: Redis
) -> None:
    load, key = Loads(), NUMBERS.key(ADA, "x")
    load.let_go.clear()
    caches = [make() for _ in range(3)]

    async def asked() -> int:
        statistics: dict[str, dict[str, int]] = await redis.info("commandstats")
        return statistics.get("cmdstat_evalsha", {"calls": 0})["calls"]

    before = await asked()
    readers = [
        asyncio.create_task(cache.get(key, load.next)) for _ in range(40) for cache in caches
    ]

    async def all_asked() -> bool | None:
        return await asked() - before >= len(readers) or None

    await until(all_asked, "all ask")
    load.let_go.set()
    assert set(await asyncio.gather(*readers)) == {1}
    assert load.count == 1


async def test_whoever_waits_too_long_loads(redis: Redis) -> None:
    outcomes: list[Outcome] = []
    cache = Cache(redis, lambda _, outcome: outcomes.append(outcome), lease=0.3)
    load, key = Loads(), NUMBERS.key(ADA, "x")
    load.let_go.clear()
    first = asyncio.create_task(cache.get(key, load.next))
    await seen(lambda: asyncio.sleep(0, load.count), 1, "one loads")
    second = asyncio.create_task(cache.get(key, Loads().next))
    # Its lease ran out, as if its process had died: another is let in.
    assert await second == 1
    load.let_go.set()
    # Too late to store, but still the answer for who asked.
    assert await first == 1
    assert await cache.get(key, Loads().next) == 1
    assert set(outcomes) <= {Outcome.MISS, Outcome.IMPATIENT, Outcome.HIT}


async def test_nothing_is_an_answer_too(cache: Cache) -> None:
    load, key = Loads(), NUMBERS.key(ADA, "x")
    assert await cache.get(key, nothing) is None
    assert await cache.get(key, load.next) is None
    await cache.drop(key)
    assert await cache.get(key, load.next) == 1
    asked = Namespace("asked", 1, int, ttl=60).key(ADA)
    assert await cache.get(asked, nothing) is None
    assert await cache.get(asked, load.next) == 2


async def test_an_error_is_not_kept_and_lets_the_next_one_load(cache: Cache) -> None:
    async def broken() -> int | None:
        raise ValueError("no")

    key = NUMBERS.key(ADA, "x")
    with pytest.raises(ValueError, match="no"):
        await cache.get(key, broken)
    async with asyncio.timeout(2):
        assert await cache.get(key, Loads().next) == 1


async def test_a_reader_that_is_cancelled_lets_the_next_one_load(cache: Cache) -> None:
    load, key = Loads(), NUMBERS.key(ADA, "x")
    load.let_go.clear()
    reader = asyncio.create_task(cache.get(key, load.next))
    await seen(lambda: asyncio.sleep(0, load.count), 1, "it loads")
    reader.cancel()
    async with asyncio.timeout(2):
        assert await cache.get(key, Loads().next) == 1


@pytest.mark.parametrize("by_tag", [False, True])
async def test_what_was_read_before_a_change_is_not_kept_after_it(
    make: Callable[[], Cache], by_tag: bool
) -> None:
    load, key, (here, there) = Loads(), NUMBERS.key(ADA, "x"), (make(), make())
    load.let_go.clear()
    early = asyncio.create_task(here.get(key, load.next))
    await seen(lambda: asyncio.sleep(0, load.count), 1, "it loads")
    await (there.drop(tags=(owner_tag(ADA),)) if by_tag else there.drop(key))
    load.let_go.set()
    # Who asked before the change may see the old one; who asks after, not.
    assert await early == 1
    assert await here.get(key, load.next) == 2
    assert await there.get(key, load.next) == 2


async def test_a_stale_value_is_an_answer_while_one_renews_it(
    make: Callable[[], Cache], redis: Redis, outcomes: list[Outcome]
) -> None:
    load = Loads()
    key = Namespace("numbers", 1, int, ttl=0.2, stale=60).key(ADA, "x")
    caches = [make(), make()]
    assert await caches[0].get(key, load.next) == 1

    async def stale() -> bool | None:
        return await redis.pttl(key.name) < 60_000 or None

    await until(stale, "its time is over")
    load.let_go.clear()
    # Nobody waits, though the load does not end.
    async with asyncio.timeout(2):
        found = [await cache.get(key, load.next) for _ in range(5) for cache in caches]
    assert set(found) == {1}
    await seen(lambda: asyncio.sleep(0, load.count), 2, "one renews")
    load.let_go.set()
    await caches[0].aclose()
    assert outcomes == [Outcome.MISS, *[Outcome.STALE] * 10]
    assert await caches[1].get(key, load.next) == 2


async def test_a_tag_drops_all_that_has_it_and_nothing_else(cache: Cache) -> None:
    load = Loads()
    keys = [
        NUMBERS.key(ADA, "x"),
        NUMBERS.key(ADA, "y", tags=("red",)),
        NUMBERS.key(EVE, "x", tags=("red",)),
        NUMBERS.key(None, "x"),
    ]

    async def values() -> list[int | None]:
        return [await cache.get(key, load.next) for key in keys]

    assert await values() == [1, 2, 3, 4]
    await cache.drop(tags=("red",))
    assert await values() == [1, 5, 6, 4]
    await cache.drop(tags=(owner_tag(ADA),))
    assert await values() == [7, 8, 6, 4]


async def test_a_tag_that_redis_evicted_makes_no_old_value_true(cache: Cache, redis: Redis) -> None:
    load, key = Loads(), NUMBERS.key(ADA, "x", tags=("red",))
    assert await cache.get(key, load.next) == 1
    await redis.delete("cache:#red")
    assert await cache.get(key, load.next) == 2


async def test_names_keep_accounts_parts_and_versions_apart(cache: Cache) -> None:
    newer = Namespace("numbers", 2, int, ttl=60)
    words = ["x", "x:y", "x!", "x\ny", "", ":", "%3A", str(EVE)]
    keys = [
        *(NUMBERS.key(owner, word) for owner in (ADA, EVE, None) for word in words),
        NUMBERS.key(ADA, "x", "y"),
        NUMBERS.key(None, ADA, "x"),
        newer.key(ADA, "x"),
    ]
    assert len({key.name for key in keys}) == len(keys)
    load = Loads()
    for _ in range(2):
        found = [await cache.get(key, load.next) for key in keys]
        assert found == list(range(1, len(keys) + 1))


async def test_an_entry_that_cannot_be_read_is_loaded_anew(cache: Cache) -> None:
    assert await cache.get(Namespace("n", 1, str, ttl=60).key(ADA), lambda: asyncio.sleep(0, "x"))
    key, load = Namespace("n", 1, int, ttl=60).key(ADA), Loads()
    assert [await cache.get(key, load.next) for _ in range(3)] == [1, 2, 2]


async def test_entries_end_and_not_all_at_once(cache: Cache, redis: Redis) -> None:
    kind = Namespace("n", 1, int, ttl=100, stale=50)
    lives = set()
    for number in range(20):
        key = kind.key(ADA, number)
        await cache.get(key, Loads().next)
        lives.add(await redis.pttl(key.name) // 100)
        assert 139_000 < await redis.pttl(key.name) <= 150_000
    assert len(lives) > 10
    for name in await redis.keys("*"):
        assert await redis.pttl(name) > 0


async def test_the_tier_in_the_process_is_bounded_in_entries_and_time(redis: Redis) -> None:
    now = 0.0
    outcomes: list[Outcome] = []
    local = LocalTier(2, 1, clock=lambda: now)
    cache = Cache(redis, lambda _, outcome: outcomes.append(outcome), local=local)
    keys, load = [NUMBERS.key(ADA, n) for n in range(3)], Loads()
    for key in itertools.chain(keys, keys):
        await cache.get(key, load.next)
    outcomes.clear()
    for key in (keys[1], keys[2], keys[0]):
        await cache.get(key, load.next)
    assert outcomes == [Outcome.LOCAL, Outcome.LOCAL, Outcome.HIT]
    now = 1.0
    for _ in range(2):
        await cache.get(keys[0], load.next)
    assert outcomes[-2:] == [Outcome.HIT, Outcome.LOCAL]
    await cache.drop(keys[0])
    assert await cache.get(keys[0], load.next) == 4
    await cache.get(keys[0], load.next)
    await cache.drop(tags=(owner_tag(ADA),))
    assert await cache.get(keys[0], load.next) == 5


async def test_without_redis_readers_load_and_drops_wait_for_it(tmp_path: Path) -> None:
    server = Server(free_port(), data=tmp_path)
    outcomes: list[Outcome] = []
    now = 0.0
    key, load = NUMBERS.key(ADA, "x"), Loads()
    async with Redis.from_url(server.url()) as client:
        cache = Cache(client, lambda _, o: outcomes.append(o), clock=lambda: now)
        with embedded_redis(server):
            assert [await cache.get(key, load.next) for _ in range(2)] == [1, 1]
        assert [await cache.get(key, load.next) for _ in range(2)] == [2, 3]
        await cache.drop(key)
        with embedded_redis(server):
            assert await client.get(key.name), "the server kept the old value"
            # Still left alone.
            assert await cache.get(key, load.next) == 4
            now = 1.0
            # The old value is gone before anything is read.
            assert [await cache.get(key, load.next) for _ in range(2)] == [5, 5]
        await cache.aclose()
    away = [Outcome.ERROR, Outcome.AWAY, Outcome.AWAY]
    assert outcomes == [Outcome.MISS, Outcome.HIT, *away, Outcome.MISS, Outcome.HIT]


async def test_drops_reach_redis_when_it_is_back_though_nobody_reads(tmp_path: Path) -> None:
    server = Server(free_port(), data=tmp_path)
    key = NUMBERS.key(ADA, "x")
    async with Redis.from_url(server.url()) as client:
        cache = Cache(client, lambda *_: None, pause=0.05)
        with embedded_redis(server):
            await cache.get(key, Loads().next)
        await cache.drop(key)
        with embedded_redis(server):
            await seen(lambda: client.exists(key.name), 0, "the old value is gone")
        await cache.aclose()


async def test_one_that_is_off_neither_reads_nor_writes(redis: Redis) -> None:
    outcomes: list[Outcome] = []
    cache = Cache(redis, lambda _, outcome: outcomes.append(outcome), enabled=False)
    load, key = Loads(), NUMBERS.key(ADA, "x")
    assert [await cache.get(key, load.next) for _ in range(2)] == [1, 2]
    await cache.drop(key)
    assert (outcomes, await redis.keys("*")) == ([], [])
