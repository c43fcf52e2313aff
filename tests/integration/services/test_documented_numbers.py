"""The numbers in docs/security.md are those of the service."""

import re
from pathlib import Path

import pytest
from redis.asyncio import Redis

from fastapi_base.services.identity import (
    api_keys,
    passkeys,  # slice: passkeys
)
from fastapi_base.services.identity.throttle import Throttle
from tests.integration.services.guessing import GUESSES, alone, pass_time, wait_of

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[3] / "docs/security.md").read_text()


@pytest.mark.parametrize(
    ("section", "limit"),
    [
        ("Authorization", api_keys.MAX_KEYS),
        ("Passkeys", passkeys.LIMIT),  # slice: passkeys
    ],
)
def test_limits_per_account_match_the_documentation(section: str, limit: int) -> None:
    _, _, text = PAGE.partition(f"\n## {section}")
    assert re.findall(r"An account has at most (\d+)\b", text.partition("\n## ")[0]) == [str(limit)]


async def guesses_of_a_day(redis: Redis, throttle: Throttle, counter: str, first: int) -> int:
    """The number of guesses in a day of an attacker who never pauses."""
    number, passed = first, 0.0
    while passed < 86_400:
        wait = await wait_of(throttle, *GUESSES[counter](number))
        if wait:
            await pass_time(redis, counter, wait)
            passed += wait
        else:
            number += 1
    return number - first


@pytest.mark.parametrize("counter", GUESSES)
async def test_guesses_per_day_match_the_documentation(redis: Redis, counter: str) -> None:
    row = re.search(rf"^\| {counter}\b[^|]*\| (\d+) \| (\d+) \| (\d+) \|", PAGE, re.MULTILINE)
    assert row
    settings = alone(counter)
    throttle = Throttle(redis, settings)
    days = [await guesses_of_a_day(redis, throttle, counter, day * 1000) for day in range(3)]
    free, first, later = (int(figure) for figure in row.groups())
    assert free == getattr(settings, f"{counter}_attempts")
    # Waits are in whole seconds, so the end of a day may fall before or after a guess.
    assert first - 2 <= days[0] <= first
    assert later - 2 <= days[2] <= later
    # Everything expires eventually.
    await pass_time(redis, counter, settings.memory_seconds)
    guess = GUESSES[counter](1)
    assert [await wait_of(throttle, *guess) for _ in range(5)] == [0] * 5
