"""Password guessing over HTTP."""

import httpx2
import pytest
from fastapi import FastAPI

from fastapi_base.core.config import Settings
from fastapi_base.core.config.throttle import ThrottleSettings
from tests.integration.accounts import PASSWORD, log_in, register
from tests.integration.mailing import Inbox

pytestmark = pytest.mark.anyio

CHOSEN = f"{PASSWORD} again"


@pytest.fixture
def settings(settings: Settings, inbox: Inbox) -> Settings:
    """Settings with the default limits."""
    return settings.model_copy(update={"throttle": ThrottleSettings(), "mail": inbox.settings})


async def set_password(client: httpx2.AsyncClient, inbox: Inbox) -> None:
    """Set a password with the link of a mail."""
    asked = {"email": "ada@example.com"}
    assert (await client.post("/api/v1/auth/password-reset", json=asked)).status_code == 202
    token = await inbox.token("ada@example.com", "Set a new password")
    chosen = {"token": token, "new_password": CHOSEN}
    reply = await client.post("/api/v1/auth/password-reset/confirm", json=chosen)
    assert reply.status_code == 204


async def test_guesses_are_delayed_and_the_owner_is_not(
    client: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient
) -> None:
    await register(client, "ada@example.com")
    guesses = [await log_in(elsewhere, "ada@example.com", f"guess {n}") for n in range(7)]
    assert [guess.status_code for guess in guesses] == [401] * 5 + [429] * 2
    assert guesses[-1].json()["type"] == "urn:fastapi-base:too-many-attempts"
    assert 1 <= int(guesses[-1].headers["retry-after"]) <= 2
    # The correct password has to wait there too; otherwise the wait would reveal wrong guesses.
    assert (await log_in(elsewhere, " ADA@example.com")).status_code == 429
    assert (await log_in(client, "ada@example.com")).status_code == 200


async def test_unknown_accounts_are_throttled_alike(elsewhere: httpx2.AsyncClient) -> None:
    guesses = [await log_in(elsewhere, "nobody@example.com", f"guess {n}") for n in range(7)]
    assert [guess.status_code for guess in guesses] == [401] * 5 + [429] * 2
    guesses = [await log_in(elsewhere, "not an address", f"guess {n}") for n in range(7)]
    assert [guess.status_code for guess in guesses] == [401] * 5 + [429] * 2


async def test_throttled_attempt_is_not_hashed(app: FastAPI, elsewhere: httpx2.AsyncClient) -> None:
    for number in range(5):
        await log_in(elsewhere, "ada@example.com", f"guess {number}")
    # From here on, any hashing fails.
    app.state.resources.hasher.close()
    assert (await log_in(elsewhere, "ada@example.com", "guess")).status_code == 429


async def test_owner_logs_in_despite_failures_of_others_behind_the_same_address(
    client: httpx2.AsyncClient,
) -> None:
    await register(client, "ada@example.com")
    assert (await log_in(client, "ada@example.com")).status_code == 200
    others = [await log_in(client, f"made-up-{n}@example.com", "guess") for n in range(54)]
    assert others[-1].status_code == 429
    assert (await log_in(client, "ada@example.com")).status_code == 200
    # Guesses at this account from there still have to wait.
    guesses = [await log_in(client, "ada@example.com", "guess") for _ in range(6)]
    assert [guess.status_code for guess in guesses] == [401] * 5 + [429]


async def test_owner_on_a_new_network_logs_in_after_a_reset_while_others_guess(
    app: FastAPI, client: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient, inbox: Inbox
) -> None:
    await register(client, "ada@example.com")
    for number in range(21):
        transport = httpx2.ASGITransport(app=app, client=(f"203.0.113.{number}", 1234))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as thief:
            for guess in range(5):
                last = await log_in(thief, "ada@example.com", f"guess {guess}")
    assert last.status_code == 429
    assert (await log_in(elsewhere, "ada@example.com")).status_code == 429
    await set_password(elsewhere, inbox)
    reply = await log_in(elsewhere, "ada@example.com", CHOSEN)
    assert reply.status_code == 200


async def test_throttled_owner_logs_in_after_a_reset(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    """At once, and from the network on which the wrong passwords were counted."""
    await register(client, "ada@example.com")
    guesses = [await log_in(client, "ada@example.com", f"guess {n}") for n in range(7)]
    assert [guess.status_code for guess in guesses] == [401] * 5 + [429] * 2
    await set_password(client, inbox)
    reply = await log_in(client, "ada@example.com", CHOSEN)
    assert reply.status_code == 200
