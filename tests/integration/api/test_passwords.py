"""Passwords: weak ones refused, changes need the current one, outdated hashes are upgraded."""

import asyncio
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis
from sqlalchemy import select
from sqlmodel import col

from fastapi_base.core.config import AuthSettings, Settings
from fastapi_base.core.config.throttle import ThrottleSettings
from fastapi_base.core.security.passwords import hash_password
from fastapi_base.models import User
from fastapi_base.services.identity import users
from tests.integration.accounts import PASSWORD, actions, log_in, new_user, register
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio

NEW = "an entirely different password"


async def change(
    client: httpx2.AsyncClient, headers: dict[str, str], current: str, new: str
) -> httpx2.Response:
    body = {"current_password": current, "new_password": new}
    return await client.put("/api/v1/users/me/password", json=body, headers=headers)


async def test_weak_passwords_are_refused_with_the_reason(client: httpx2.AsyncClient) -> None:
    for easy in ["Password2024!!!", "ada.lovelace.1815"]:
        reply = await register(client, "ada.lovelace@example.com", easy)
        assert reply.status_code == 422
        assert reply.json()["type"] == "urn:fastapi-base:weak-password"
        assert easy not in reply.text
    headers = await new_user(client, "ada@example.com")
    assert (await change(client, headers, PASSWORD, "passwordpassword")).status_code == 422


async def test_change_requires_the_current_password_and_ends_other_sessions(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    other = await new_user(client, "ada@example.com")
    headers = await new_user(client, "ada@example.com")
    wrong = await change(client, headers, "wrong", NEW)
    assert wrong.status_code == 403
    assert wrong.json()["type"] == "urn:fastapi-base:wrong-password"
    assert (await client.get("/api/v1/users/me", headers=other)).status_code == 200
    assert (await change(client, headers, PASSWORD, NEW)).status_code == 204
    assert (await client.get("/api/v1/users/me", headers=other)).status_code == 401
    assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 200
    assert (await log_in(client, "ada@example.com")).status_code == 401
    assert (await log_in(client, "ada@example.com", NEW)).status_code == 200
    logged = await actions(database)
    assert "confirmation.failed" in logged
    assert "password.changed" in logged


async def test_overlong_text_is_a_wrong_password(client: httpx2.AsyncClient) -> None:
    headers = await new_user(client, "ada@example.com")
    long = "a" + "\u0301" * 40_000 + "\u0323" * 40_000
    seen = set()
    for email in ("ada@example.com", "nobody@example.com", "a" * 300_000):
        for password in ("wrong", long, PASSWORD + "x" * 300):
            reply = await log_in(client, email, password)
            body = {**reply.json(), "request_id": None}
            seen.add((reply.status_code, str(body)))
    assert [status for status, _ in seen] == [401]
    # Where its owner is authenticated, it is refused for its length.
    for method, path, body in (
        ("PUT", "users/me/password", {"current_password": long, "new_password": NEW}),
        ("PUT", "users/me/password", {"current_password": PASSWORD, "new_password": long}),
        ("POST", "users/me/deactivation", {"current_password": long}),
        ("POST", "users/me/deletion", {"current_password": long}),
        # begin slice: email-change
        (
            "POST",
            "users/me/email-change",
            {"current_password": long, "new_email": "eve@example.com"},
        ),
        # end slice: email-change
        ("POST", "auth/totp", {"password": long}),
        ("POST", "auth/totp/disable", {"password": long, "code": "123456"}),
        ("POST", "auth/passkey-options", {"password": long}),  # slice: passkeys
        ("POST", "auth/register", {"email": "eve@example.com", "password": long}),
    ):
        reply = await client.request(method, f"/api/v1/{path}", json=body, headers=headers)
        assert reply.status_code == 422, path
        assert [error["type"] for error in reply.json()["errors"]] == ["string_too_long"], path


async def test_stolen_session_cannot_guess_the_password(
    client: httpx2.AsyncClient, app: Any, settings: Settings
) -> None:
    headers = await new_user(client, "ada@example.com")
    app.state.resources.throttle._settings = ThrottleSettings(pair_attempts=3)
    replies = [await change(client, headers, f"guess {n}", NEW) for n in range(4)]
    assert [reply.status_code for reply in replies] == [403, 403, 403, 429]


async def test_login_rehashes_the_password_when_the_cost_changed(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    async def stored() -> str:
        async with database.read() as connection:
            return str(await connection.scalar(select(col(User.password_hash))))

    async with database.transaction() as session:
        await users.add(session, email="ada@example.com", password_hash=hash_password(PASSWORD, 5))
    assert (await log_in(client, "ada@example.com", "wrong")).status_code == 401
    assert "$2b$05$" in await stored()
    assert (await log_in(client, "ada@example.com")).status_code == 200
    renewed = await stored()
    assert "$2b$04$" in renewed
    assert (await log_in(client, "ada@example.com")).status_code == 200
    assert await stored() == renewed


class TestFullQueue:
    """More concurrent logins than the hashing queue holds."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Slow hashes, and a queue of three."""
        slow = AuthSettings(bcrypt_rounds=10, hash_threads=1, hash_queue=2)
        return settings.model_copy(update={"auth": slow})

    async def test_is_refused_at_once_with_retry_after(self, client: httpx2.AsyncClient) -> None:
        replies = await asyncio.gather(*(log_in(client, f"user{n}@example.com") for n in range(12)))
        busy = [reply for reply in replies if reply.status_code == 503]
        assert len(busy) >= 5
        assert {reply.headers["retry-after"] for reply in busy} == {"1"}
        assert {reply.status_code for reply in replies} == {401, 503}

    async def test_is_not_counted_as_a_failed_login(
        self, client: httpx2.AsyncClient, redis: Redis
    ) -> None:
        guesses = (log_in(client, "ada@example.com", f"guess {n}") for n in range(12))
        statuses = [reply.status_code for reply in await asyncio.gather(*guesses)]
        assert set(statuses) == {401, 503}
        counters = [key async for key in redis.scan_iter("fastapi-base:throttle:*", _type="hash")]
        levels = [float(await redis.hget(key, "level") or 0) for key in counters]
        # The account, its IP address, and both together; counters decay.
        assert levels == pytest.approx([statuses.count(401)] * 3, abs=0.5)
