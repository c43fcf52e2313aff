"""Sessions: their lifetimes, their list, and their end, which takes effect at once."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlmodel import col

from fastapi_base.core.ids import uuid7
from fastapi_base.models import LoginSession, RefreshToken, User
from tests.integration.accounts import authorization, new_user, register
from tests.integration.api.refreshing import me, refresh, tokens
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "change",
    [
        update(RefreshToken).values(expires_at=text("now() - interval '1 second'")),
        update(LoginSession).values(expires_at=text("now() - interval '1 second'")),
        update(User).values(is_active=False),
        delete(User),
    ],
    ids=["token expired", "session expired", "account inactive", "account gone"],
)
async def test_refresh_is_refused_when_session_or_account_ended(
    client: httpx2.AsyncClient, database: RolledBackDatabase, change: Any
) -> None:
    good, used = await tokens(client), await tokens(client)
    assert (await refresh(client, used["refresh_token"])).status_code == 200
    async with database.transaction() as session:
        await session.exec(change)
    for refused in (good, used):
        assert (await refresh(client, refused["refresh_token"])).status_code == 401


async def test_session_expiry_uses_only_the_database_clock(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    """The database clock is a year ahead of the process clock."""
    first = await tokens(client)
    await database.shift_clock("1 year")
    assert await me(client, first["access_token"]) == 401
    assert (await refresh(client, first["refresh_token"])).status_code == 401


async def test_expired_session_invalidates_its_access_tokens(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    good = await tokens(client)
    async with database.transaction() as session:
        await session.exec(
            update(LoginSession).values(expires_at=text("now() - interval '1 second'"))
        )
    assert await me(client, good["access_token"]) == 401


async def test_lifetimes_follow_the_settings(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    first = await tokens(client)
    assert first["expires_in"] == 900
    lives = [
        select(col(table.expires_at) - col(table.created_at))
        for table in (LoginSession, RefreshToken)
    ]
    async with database.read() as connection:
        found = [await connection.scalar(life) for life in lives]
        ends = await connection.scalar(select(col(LoginSession.expires_at)))
    assert found == [timedelta(days=90), timedelta(days=14)]
    # A refresh does not extend the session.
    assert (await refresh(client, first["refresh_token"])).status_code == 200
    async with database.read() as connection:
        assert await connection.scalar(select(col(LoginSession.expires_at))) == ends


async def test_list_returns_the_newest_hundred_sessions(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await tokens(client)
    async with database.transaction() as session:
        (owner,) = await session.scalars(select(col(User.id)))
        ends = func.now() + timedelta(days=1)
        rows = [{"id": uuid7(), "user_id": owner, "expires_at": ends} for _ in range(100)]
        await session.exec(insert(LoginSession).values(rows))
    headers = authorization((await tokens(client))["access_token"])
    found = (await client.get("/api/v1/sessions", headers=headers)).json()
    assert len(found) == 100
    assert found[0]["current"]
    assert [one["id"] for one in found] == sorted((one["id"] for one in found), reverse=True)


async def test_list_shows_user_agent_and_ip_address(client: httpx2.AsyncClient) -> None:
    await new_user(client, "eve@example.com")
    await register(client, "ada@example.com")
    form = {"username": "ada@example.com", "password": "correct horse battery staple"}
    agent = "Phone/1.0 \x1b[31m" + "x" * 300
    await client.post("/api/v1/auth/login", data=form, headers={"User-Agent": agent})
    headers = await new_user(client, "ada@example.com")
    found = (await client.get("/api/v1/sessions", headers=headers)).json()
    assert [session["current"] for session in found] == [True, False]
    assert found[0]["address"] == "127.0.0.1"
    assert found[1]["user_agent"].startswith("Phone/1.0 [31mxxx")
    assert len(found[1]["user_agent"]) == 256


async def test_ended_session_is_refused_from_the_next_request(client: httpx2.AsyncClient) -> None:
    other = await tokens(client)
    headers = await new_user(client, "ada@example.com")
    found = (await client.get("/api/v1/sessions", headers=headers)).json()
    ending = next(session["id"] for session in found if not session["current"])
    reply = await client.delete(f"/api/v1/sessions/{ending}", headers=headers)
    assert reply.status_code == 204
    assert await me(client, other["access_token"]) == 401
    assert (await refresh(client, other["refresh_token"])).status_code == 401
    assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 200
    again = await client.delete(f"/api/v1/sessions/{ending}", headers=headers)
    assert again.status_code == 404


async def test_session_of_another_account_is_not_found(client: httpx2.AsyncClient) -> None:
    ada = await new_user(client, "ada@example.com")
    theirs = (await client.get("/api/v1/sessions", headers=ada)).json()[0]["id"]
    eve = await new_user(client, "eve@example.com")
    reply = await client.delete(f"/api/v1/sessions/{theirs}", headers=eve)
    assert reply.status_code == 404
    assert (await client.get("/api/v1/users/me", headers=ada)).status_code == 200


async def test_logout_and_logout_everywhere(client: httpx2.AsyncClient) -> None:
    first, second, third = [await new_user(client, "ada@example.com") for _ in range(3)]
    eve = await new_user(client, "eve@example.com")

    async def who() -> list[int]:
        return [
            (await client.get("/api/v1/users/me", headers=headers)).status_code
            for headers in (first, second, third, eve)
        ]

    assert (await client.post("/api/v1/auth/logout", headers=first)).status_code == 204
    assert await who() == [401, 200, 200, 200]
    assert (await client.delete("/api/v1/sessions", headers=second)).status_code == 204
    assert await who() == [401, 401, 401, 200]
