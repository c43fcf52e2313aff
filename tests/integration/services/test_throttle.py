"""Counting attempts, on a real Redis."""

import asyncio

import pytest
from redis.asyncio import Redis

from fastapi_base.core.config import RedisSettings
from fastapi_base.core.config_login import ThrottleSettings
from fastapi_base.core.errors import TooManyAttempts, Unavailable
from fastapi_base.core.redis import create_redis
from fastapi_base.services.throttle import Throttle
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

HOME, THIEF = "192.0.2.7", "198.51.100.9"


async def wait_of(throttle: Throttle, account: str, address: str) -> int:
    """Attempt, and say how many seconds to wait; 0 when it was let through."""
    try:
        await throttle.attempt(account, address)
    except TooManyAttempts as error:
        return error.retry_after or 0
    return 0


async def test_waits_begin_after_free_attempts_and_grow(redis: Redis) -> None:
    throttle = Throttle(redis, ThrottleSettings(pair_attempts=3, max_wait_seconds=3))
    assert [await wait_of(throttle, "ada", THIEF) for _ in range(5)] == [0, 0, 0, 1, 1]

    async def let_through() -> bool | None:
        return True if await wait_of(throttle, "ada", THIEF) == 0 else None

    await until(let_through, "the wait of a second is over")
    assert await wait_of(throttle, "ada", THIEF) == 2
    await until(let_through, "the wait of two seconds is over")
    assert await wait_of(throttle, "ada", THIEF) == 3


async def test_attempts_side_by_side_do_not_slip_through(redis: Redis) -> None:
    throttle = Throttle(redis, ThrottleSettings(pair_attempts=5))
    waits = await asyncio.gather(*(wait_of(throttle, "ada", THIEF) for _ in range(40)))
    assert sum(wait == 0 for wait in waits) == 5


async def test_one_address_against_many_accounts(redis: Redis) -> None:
    throttle = Throttle(redis, ThrottleSettings(address_attempts=10))
    waits = [await wait_of(throttle, f"user{number}", THIEF) for number in range(12)]
    assert waits == [0] * 10 + [1, 1]
    assert await wait_of(throttle, "user1", HOME) == 0


async def test_many_addresses_against_one_account_do_not_lock_its_owner_out(redis: Redis) -> None:
    throttle = Throttle(redis, ThrottleSettings(account_attempts=10))
    await throttle.attempt("ada", HOME)
    await throttle.right("ada", HOME)
    waits = [await wait_of(throttle, "ada", f"198.51.100.{number}") for number in range(12)]
    assert waits == [0] * 10 + [1, 1]
    assert await wait_of(throttle, "ada", HOME) == 0


async def test_right_attempts_are_given_back(redis: Redis) -> None:
    throttle = Throttle(
        redis, ThrottleSettings(pair_attempts=2, address_attempts=2, account_attempts=2)
    )
    for _ in range(10):
        assert await wait_of(throttle, "ada", HOME) == 0
        await throttle.right("ada", HOME)


async def test_what_is_stored_expires_and_names_nobody(redis: Redis) -> None:
    throttle = Throttle(redis, ThrottleSettings())
    await throttle.attempt("ada@example.com", HOME)
    await throttle.right("ada@example.com", HOME)
    await throttle.attempt("ada@example.com", THIEF)
    keys = [key async for key in redis.scan_iter("*")]
    assert len(keys) == 5
    for key in keys:
        assert await redis.pttl(key) > 0
        assert b"ada" not in key
        assert b"192.0.2" not in key


async def test_policy_decides_when_redis_is_down() -> None:
    nobody = RedisSettings.model_validate({"url": "redis://127.0.0.1:9/0"})
    async with create_redis(nobody) as down:
        await Throttle(down, ThrottleSettings()).attempt("ada", HOME)
        await Throttle(down, ThrottleSettings()).right("ada", HOME)
        with pytest.raises(Unavailable):
            await Throttle(down, ThrottleSettings(when_redis_fails="refuse")).attempt("ada", HOME)
