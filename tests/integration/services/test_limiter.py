"""The rate limiter: the same algorithm in Redis and in memory."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from fastapi_base.core.config.quotas import Quota
from fastapi_base.services.limits.rate_limit import Bucket, LocalBuckets, RateLimiter

pytestmark = pytest.mark.anyio


async def test_redis_and_memory_decide_alike(redis: Redis) -> None:
    quotas = [Quota(1, 3600), Quota(3, 3600), Quota(7, 86400), Quota(1000, 60)]
    shared = RateLimiter(redis)
    alone = LocalBuckets(100)
    for quota in quotas:
        bucket = [Bucket("b", f"test:{quota}", quota)]
        by_redis = [(await shared.hit(bucket))[0].allowed for _ in range(9)]
        by_memory = [alone.hit(bucket, 1_000_000)[1] <= 0 for _ in range(9)]
        assert by_redis == by_memory == [n < quota.limit for n in range(9)]


async def test_concurrent_requests_never_exceed_the_quota(redis: Redis) -> None:
    limiter = RateLimiter(redis)
    bucket = [Bucket("b", "test:race", Quota(10, 3600))]
    levels = await asyncio.gather(*(limiter.hit(bucket) for _ in range(40)))
    assert sum(level[0].allowed for level in levels) == 10


async def test_requests_in_one_call_are_decided_in_order(redis: Redis) -> None:
    limiter = RateLimiter(redis)
    wide, narrow = Quota(10, 3600), Quota(1, 3600)
    first = [Bucket("a", "test:one:a", wide), Bucket("n", "test:one:n", narrow)]
    other = [Bucket("a", "test:two:a", wide)]
    levels = await asyncio.gather(*(limiter.hit(b) for b in (first, other, first, other)))
    assert [[level.allowed for level in found] for found in levels] == [
        [True, True],
        [True],
        [True, False],
        [True],
    ]
    # The refused request cost nothing in the bucket that had capacity.
    assert [found[0].remaining for found in levels] == [9, 9, 9, 8]


async def test_redis_keys_expire(redis: Redis) -> None:
    await RateLimiter(redis).hit([Bucket("b", "test:ttl", Quota(10, 100))])
    assert 9_000 < await redis.pttl("test:ttl") <= 10_000


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(1, 20),
    seconds=st.sampled_from([1, 60, 3600]),
    gaps=st.lists(st.integers(0, 400_000_000), max_size=60),
)
def test_no_window_allows_more_than_twice_the_quota(
    limit: int, seconds: int, gaps: list[int]
) -> None:
    """A full bucket at once, plus the refill during the window: never more in any window."""
    quota = Quota(limit, seconds)
    local, now, passed = LocalBuckets(10), 0, []
    for gap in gaps:
        now += gap
        if local.hit([Bucket("b", "k", quota)], now)[1] <= 0:
            passed.append(now)
    for start in passed:
        inside = [t for t in passed if start <= t < start + quota.window]
        assert len(inside) <= 2 * limit


def test_memory_is_bounded() -> None:
    local = LocalBuckets(3)
    for n in range(10):
        local.hit([Bucket("b", f"k{n}", Quota(1, 60))], 0)
    # The first key was evicted, so it is allowed again; the last was not.
    assert local.hit([Bucket("b", "k0", Quota(1, 60))], 0)[1] <= 0
    assert local.hit([Bucket("b", "k9", Quota(1, 60))], 0)[1] > 0
