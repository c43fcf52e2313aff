"""Guessing passwords over HTTP."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from fastapi_base.core.config import Settings
from fastapi_base.core.config_login import ThrottleSettings
from tests.integration.accounts import log_in, register

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with the limits that are the default."""
    return settings.model_copy(update={"throttle": ThrottleSettings()})


@pytest.fixture
async def elsewhere(app: FastAPI, client: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """Calls the same application from another address."""
    transport = httpx2.ASGITransport(app=app, client=("198.51.100.9", 1234))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


async def test_guesses_have_to_wait_and_the_owner_has_not(
    client: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient
) -> None:
    await register(client, "ada@example.com")
    guesses = [await log_in(elsewhere, "ada@example.com", f"guess {n}") for n in range(7)]
    assert [guess.status_code for guess in guesses] == [401] * 5 + [429] * 2
    assert guesses[-1].json()["type"] == "urn:fastapi-base:too-many-attempts"
    assert 1 <= int(guesses[-1].headers["retry-after"]) <= 2
    # Even the right password has to wait there, or a guess could be told from a wait.
    assert (await log_in(elsewhere, " ADA@example.com")).status_code == 429
    assert (await log_in(client, "ada@example.com")).status_code == 200


async def test_unknown_accounts_are_counted_alike(elsewhere: httpx2.AsyncClient) -> None:
    guesses = [await log_in(elsewhere, "nobody@example.com", f"guess {n}") for n in range(7)]
    assert [guess.status_code for guess in guesses] == [401] * 5 + [429] * 2
    guesses = [await log_in(elsewhere, "not an address", f"guess {n}") for n in range(7)]
    assert [guess.status_code for guess in guesses] == [401] * 5 + [429] * 2
