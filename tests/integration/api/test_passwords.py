"""Passwords: refused when easy, changed by who knows the old one, hashed anew when the cost is."""

import asyncio
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from sqlmodel import col

from fastapi_base.core.config import AuthSettings, Settings
from fastapi_base.core.config_login import ThrottleSettings
from fastapi_base.core.security import hash_password
from fastapi_base.models import AuditEvent, User
from fastapi_base.services import users
from tests.integration.accounts import PASSWORD, log_in, new_user, register
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio

NEW = "an entirely different password"


async def change(
    client: httpx2.AsyncClient, headers: dict[str, str], current: str, new: str
) -> httpx2.Response:
    body = {"current_password": current, "new_password": new}
    return await client.put("/api/v1/users/me/password", json=body, headers=headers)


async def test_easy_passwords_are_refused_with_the_reason(client: httpx2.AsyncClient) -> None:
    for easy in ["Password2024!!!", "ada.lovelace.1815"]:
        reply = await register(client, "ada.lovelace@example.com", easy)
        assert reply.status_code == 422
        assert reply.json()["type"] == "urn:fastapi-base:weak-password"
        assert easy not in reply.text
    headers = await new_user(client, "ada@example.com")
    assert (await change(client, headers, PASSWORD, "passwordpassword")).status_code == 422


async def test_change_needs_the_old_password_and_ends_other_sessions(
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
    async with database.read() as connection:
        actions = list(await connection.scalars(select(col(AuditEvent.action))))
    assert "confirmation.failed" in actions
    assert "password.changed" in actions


async def test_a_stolen_session_is_no_way_to_guess(
    client: httpx2.AsyncClient, app: Any, settings: Settings
) -> None:
    headers = await new_user(client, "ada@example.com")
    app.state.resources.throttle._settings = ThrottleSettings(pair_attempts=3)
    replies = [await change(client, headers, f"guess {n}", NEW) for n in range(4)]
    assert [reply.status_code for reply in replies] == [403, 403, 403, 429]


async def test_password_is_hashed_anew_at_login_when_the_cost_changed(
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
    """More logins than the hashing queue takes."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Slow hashes, and room for three."""
        slow = AuthSettings(bcrypt_rounds=10, hash_threads=1, hash_queue=2)
        return settings.model_copy(update={"auth": slow})

    async def test_is_answered_at_once_with_when_to_come_back(
        self, client: httpx2.AsyncClient
    ) -> None:
        replies = await asyncio.gather(*(log_in(client, f"user{n}@example.com") for n in range(12)))
        busy = [reply for reply in replies if reply.status_code == 503]
        assert len(busy) >= 5
        assert {reply.headers["retry-after"] for reply in busy} == {"1"}
        assert {reply.status_code for reply in replies} == {401, 503}
