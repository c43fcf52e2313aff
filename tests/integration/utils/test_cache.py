"""The cache against a real Redis: one load for all readers, no stale and no foreign entries."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from fastapi_base.utils.cache import Cache, Namespace, Outcome, Stamp
from tests.integration.utils import caching
from tests.integration.utils.caching import ADA, EVE, LATER, NOW, NUMBERS, Loads, nothing, seen
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio
outcomes = caching.outcomes
make = caching.make
cache = caching.cache


async def test_value_is_loaded_once(cache: Cache, outcomes: list[Outcome]) -> None:
    load, key = Loads(), NUMBERS.key(ADA, "x")
    assert [await cache.get(key, NOW, load.next) for _ in range(3)] == [1, 1, 1]
    assert outcomes == [Outcome.MISS, Outcome.HIT, Outcome.HIT]


async def test_concurrent_readers_in_all_processes_share_one_load(
    make: Callable[[], Cache], monkeypatch: pytest.MonkeyPatch
) -> None:
    load, key = Loads(), NUMBERS.key(ADA, "x")
    load.let_go.clear()
    caches = [make() for _ in range(3)]
    asked = set()
    evalsha = Redis.evalsha

    async def noted(self: Redis, *given: Any) -> Any:
        answer = await evalsha(self, *given)
        asked.add(asyncio.current_task())
        return answer

    monkeypatch.setattr(Redis, "evalsha", noted)
    readers = [
        asyncio.create_task(cache.get(key, NOW, load.next)) for _ in range(40) for cache in caches
    ]

    async def all_asked() -> bool | None:
        return asked >= set(readers) or None

    await until(all_asked, "all readers have asked Redis")
    load.let_go.set()
    assert set(await asyncio.gather(*readers)) == {1}
    assert load.count == 1


async def test_reader_that_waits_too_long_loads_itself(redis: Redis) -> None:
    outcomes: list[Outcome] = []
    cache = Cache(redis, lambda _, outcome: outcomes.append(outcome), lease=0.3)
    load, key = Loads(), NUMBERS.key(ADA, "x")
    load.let_go.clear()
    first = asyncio.create_task(cache.get(key, NOW, load.next))
    await seen(lambda: asyncio.sleep(0, load.count), 1, "one loads")
    second = asyncio.create_task(cache.get(key, NOW, Loads().next))
    # Its lease expired, as if its process had died: another reader gets the lease.
    assert await second == 1
    load.let_go.set()
    # Too late to store, but still a valid result for its own reader.
    assert await first == 1
    assert await cache.get(key, NOW, Loads().next) == 1
    assert set(outcomes) <= {Outcome.MISS, Outcome.IMPATIENT, Outcome.HIT}


async def test_none_is_a_cached_value(cache: Cache) -> None:
    load, key = Loads(), NUMBERS.key(ADA, "x")
    assert await cache.get(key, NOW, nothing) is None
    assert await cache.get(key, NOW, load.next) is None
    assert await cache.get(key, LATER, load.next) == 1
    asked = Namespace("asked", 1, int, ttl=60).key(ADA)
    assert await cache.get(asked, NOW, nothing) is None
    assert await cache.get(asked, NOW, load.next) == 2


async def test_error_is_not_cached_and_the_next_reader_loads(cache: Cache) -> None:
    async def broken() -> int | None:
        raise ValueError("no")

    key = NUMBERS.key(ADA, "x")
    with pytest.raises(ValueError, match="no"):
        await cache.get(key, NOW, broken)
    async with asyncio.timeout(2):
        assert await cache.get(key, NOW, Loads().next) == 1


async def test_after_a_cancelled_reader_the_next_one_loads(cache: Cache) -> None:
    load, key = Loads(), NUMBERS.key(ADA, "x")
    load.let_go.clear()
    reader = asyncio.create_task(cache.get(key, NOW, load.next))
    await seen(lambda: asyncio.sleep(0, load.count), 1, "it loads")
    reader.cancel()
    async with asyncio.timeout(2):
        assert await cache.get(key, NOW, Loads().next) == 1


async def test_value_from_before_a_change_is_not_returned_after_it(
    make: Callable[[], Cache],
) -> None:
    load, key, (here, there) = Loads(), NUMBERS.key(ADA, "x"), (make(), make())
    load.let_go.clear()
    early = asyncio.create_task(here.get(key, NOW, load.next))
    await seen(lambda: asyncio.sleep(0, load.count), 1, "it loads")
    # Nor does a reader of the later state wait for the load of the earlier one.
    assert await there.get(key, LATER, Loads(from_=2).next) == 2
    load.let_go.set()
    # A read that started before the change may return the old value; a later read may not.
    assert await early == 1
    assert await here.get(key, LATER, load.next) == 2
    assert await there.get(key, LATER, load.next) == 2


async def test_stale_value_is_returned_while_one_reader_refreshes_it(
    make: Callable[[], Cache], redis: Redis, outcomes: list[Outcome]
) -> None:
    load = Loads()
    key = Namespace("numbers", 1, int, ttl=0.2, stale=60).key(ADA, "x")
    caches = [make(), make()]
    assert await caches[0].get(key, NOW, load.next) == 1

    async def stale() -> bool | None:
        return await redis.pttl(key.name) < 60_000 or None

    await until(stale, "the entry is stale")
    load.let_go.clear()
    # No reader waits, although the load does not finish.
    async with asyncio.timeout(2):
        found = [await cache.get(key, NOW, load.next) for _ in range(5) for cache in caches]
    assert set(found) == {1}
    await seen(lambda: asyncio.sleep(0, load.count), 2, "one renews")
    load.let_go.set()
    await caches[0].aclose()
    assert outcomes == [Outcome.MISS, *[Outcome.STALE] * 10]
    assert await caches[1].get(key, NOW, load.next) == 2


async def test_entry_is_valid_only_for_readers_with_its_stamp(cache: Cache) -> None:
    load, key = Loads(), NUMBERS.key(ADA, "x")
    stamps: list[Stamp] = [None, 0, 1, 12, -1, 2**63 - 1, -(2**63)]
    for number, stamp in enumerate(stamps, 1):
        found = [await cache.get(key, stamp, load.next) for _ in range(2)]
        assert found == [number, number]
    # Only the most recently loaded entry is kept, so changes do not fill the memory.
    assert await cache.get(key, stamps[0], load.next) == len(stamps) + 1


async def test_keys_separate_accounts_parts_and_versions(cache: Cache) -> None:
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
        found = [await cache.get(key, NOW, load.next) for key in keys]
        assert found == list(range(1, len(keys) + 1))


async def test_unreadable_entry_is_reloaded(cache: Cache) -> None:
    assert await cache.get(
        Namespace("n", 1, str, ttl=60).key(ADA), NOW, lambda: asyncio.sleep(0, "x")
    )
    key, load = Namespace("n", 1, int, ttl=60).key(ADA), Loads()
    assert [await cache.get(key, NOW, load.next) for _ in range(3)] == [1, 2, 2]
