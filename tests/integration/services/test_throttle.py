"""Counting login attempts, on a real Redis."""

import asyncio

import pytest
from redis.asyncio import Redis

from fastapi_base.core.config.database import RedisSettings, TlsSettings
from fastapi_base.core.config.throttle import ThrottleSettings
from fastapi_base.core.errors import Unavailable
from fastapi_base.core.messaging.redis import create_redis
from fastapi_base.services.identity.throttle import Throttle
from tests.integration.services.guessing import GUESSES, HOME, THIEF, alone, pass_time, wait_of
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio


async def test_waits_start_after_the_free_attempts_and_grow(redis: Redis) -> None:
    throttle = Throttle(redis, ThrottleSettings(pair_attempts=3, max_wait_seconds=3))
    assert [await wait_of(throttle, "ada", THIEF) for _ in range(5)] == [0, 0, 0, 1, 1]

    async def let_through() -> bool | None:
        return True if await wait_of(throttle, "ada", THIEF) == 0 else None

    await until(let_through, "the wait of one second ends")
    assert await wait_of(throttle, "ada", THIEF) == 2
    await until(let_through, "the wait of two seconds ends")
    assert await wait_of(throttle, "ada", THIEF) == 3


@pytest.mark.parametrize(
    ("counter", "kind"), [*((counter, "") for counter in GUESSES), ("address", "mail:")]
)
async def test_slow_attempts_never_accumulate(redis: Redis, counter: str, kind: str) -> None:
    settings = alone(counter)
    throttle = Throttle(redis, settings, kind)
    longest_wait = 10  # 2**10 s is the first power beyond the longest wait
    full = getattr(settings, f"{counter}_attempts") + longest_wait
    for number in range(2 * full):
        assert await wait_of(throttle, *GUESSES[counter](number)) == 0
        await pass_time(redis, counter, settings.memory_seconds / full)
    # Nor does it reduce the free attempts of later callers.
    free = getattr(settings, f"{counter}_attempts")
    guesses = [GUESSES[counter](2 * full + number) for number in range(free - 1)]
    assert [await wait_of(throttle, *guess) for guess in guesses] == [0] * (free - 1)


async def test_concurrent_attempts_do_not_bypass_the_limit(redis: Redis) -> None:
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


async def test_known_address_is_limited_only_by_its_own_failures(
    redis: Redis,
) -> None:
    throttle = Throttle(redis, ThrottleSettings())
    await throttle.attempt("ada", HOME)
    await throttle.right("ada", HOME)
    # Others behind the same address, with accounts that they invented.
    waits = [await wait_of(throttle, f"made up {number}", HOME) for number in range(54)]
    assert waits[-1] > 0
    assert [await wait_of(throttle, "ada", HOME) for _ in range(6)] == [0] * 5 + [1]
    await throttle.right("ada", HOME)
    assert await wait_of(throttle, "ada", HOME) == 0
    # Nor do the owner's successful logins restore attempts for the others.
    assert await wait_of(throttle, "made up", HOME) > 0


async def test_own_account_restores_no_attempts_for_guessing_at_others(redis: Redis) -> None:
    throttle = Throttle(redis, ThrottleSettings(address_attempts=10))
    waits = []
    for number in range(15):
        waits.append(await wait_of(throttle, f"user{number}", THIEF))
        if await wait_of(throttle, "thief", THIEF) == 0:
            await throttle.right("thief", THIEF)
    assert [wait > 0 for wait in waits] == [False] * 10 + [True] * 5


async def test_successful_attempts_are_restored(redis: Redis) -> None:
    throttle = Throttle(
        redis, ThrottleSettings(pair_attempts=2, address_attempts=2, account_attempts=2)
    )
    for _ in range(10):
        assert await wait_of(throttle, "ada", HOME) == 0
        await throttle.right("ada", HOME)


async def test_undecided_attempts_are_restored(redis: Redis) -> None:
    settings = ThrottleSettings(pair_attempts=2, address_attempts=2, account_attempts=2)
    throttle = Throttle(redis, settings)
    assert await wait_of(throttle, "ada", HOME) == 0
    for _ in range(10):
        assert await wait_of(throttle, "ada", HOME) == 0
        await throttle.give_back("ada", HOME)
    # The failure before them still counts.
    assert [await wait_of(throttle, "ada", HOME) for _ in range(2)] == [0, 1]


async def test_stored_counters_expire_and_identify_nobody(redis: Redis) -> None:
    throttle = Throttle(redis, ThrottleSettings())
    await throttle.attempt("ada@example.com", HOME)
    await throttle.right("ada@example.com", HOME)
    await throttle.attempt("ada@example.com", THIEF)
    keys = [key async for key in redis.scan_iter("*")]
    assert len(keys) == 4
    for key in keys:
        assert await redis.pttl(key) > 0
        assert b"ada" not in key
        assert b"192.0.2" not in key


async def test_policy_decides_when_redis_is_down() -> None:
    nobody = RedisSettings.model_validate({"url": "redis://127.0.0.1:9/0"})
    async with create_redis(nobody, TlsSettings()) as down:
        await Throttle(down, ThrottleSettings()).attempt("ada", HOME)
        await Throttle(down, ThrottleSettings()).right("ada", HOME)
        with pytest.raises(Unavailable):
            await Throttle(down, ThrottleSettings(when_redis_fails="refuse")).attempt("ada", HOME)
