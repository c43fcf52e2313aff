"""Attempts of an attacker who guesses passwords, and the time between them."""

import math
from collections.abc import Callable

from redis.asyncio import Redis

from fastapi_base.core.config.throttle import ThrottleSettings
from fastapi_base.core.errors import TooManyAttempts
from fastapi_base.services.identity.throttle import Throttle

HOME, THIEF = "192.0.2.7", "198.51.100.9"


async def wait_of(throttle: Throttle, account: str, address: str) -> int:
    """Make an attempt; returns the seconds to wait, 0 if it was allowed."""
    try:
        await throttle.attempt(account, address)
    except TooManyAttempts as error:
        return error.retry_after or 0
    return 0


async def pass_time(redis: Redis, counter: str, seconds: float) -> None:
    """Make this counter's data older by this many seconds."""
    past = -math.ceil(seconds * 1000)
    for key in await redis.keys(f"fastapi-base:throttle:*{counter}:*"):
        for field in ("at", "until"):
            if await redis.hexists(key, field):
                await redis.hincrby(key, field, past)


# By counter: the source and target of the n-th guess so that only this counter counts it.
GUESSES: dict[str, Callable[[int], tuple[str, str]]] = {
    "pair": lambda _: ("ada", THIEF),
    "address": lambda number: (f"user{number}", THIEF),
    "account": lambda number: ("ada", f"198.18.{number // 250}.{number % 250}"),
}


def alone(counter: str) -> ThrottleSettings:
    """The default settings of this counter, with the others disabled."""
    others = {f"{name}_attempts": 1_000_000 for name in GUESSES if name != counter}
    return ThrottleSettings.model_validate(others)
