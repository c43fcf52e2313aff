"""Caches on a real Redis, and what they load."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from fastapi_base.utils.cache import Cache, Namespace, Outcome
from tests.integration.waiting import until

# A stamp, and the stamp of a later state.
NOW, LATER = 7, -3
ADA, EVE = uuid.UUID(int=1), uuid.UUID(int=2)
NUMBERS = Namespace("numbers", 1, int, ttl=60, stale=60, absent=60)


class Loads:
    """Loads 1, 2, ... and counts; waits before returning where a test requires it."""

    def __init__(self, from_: int = 1) -> None:
        self.count = from_ - 1
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def next(self) -> int | None:
        self.count += 1
        found = self.count
        await self.let_go.wait()
        return found


async def nothing() -> None:
    """Loads an absent value."""
    return None


@pytest.fixture
async def outcomes() -> list[Outcome]:
    """The outcomes of the reads so far."""
    return []


@pytest.fixture
async def make(
    redis: Redis, redis_url: str, outcomes: list[Outcome]
) -> AsyncIterator[Callable[[], Cache]]:
    """Caches with their own connections, as in separate processes."""
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
    """The cache of one process."""
    return make()


async def seen[T](ask: Callable[[], Awaitable[T]], wanted: T, what: str) -> None:
    """Wait until a read returns this value."""

    async def there() -> bool | None:
        return await ask() == wanted or None

    await until(there, what)
