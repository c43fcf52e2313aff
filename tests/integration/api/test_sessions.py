"""Sessions: refresh tokens are good once, copies are noticed, an ended session stops at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from sqlalchemy import delete, select, text, update
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.main import create_app
from fastapi_base.models import LoginSession, RefreshToken, User
from tests.calling import calling
from tests.integration.accounts import log_in, new_user, register
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio


async def tokens(client: httpx2.AsyncClient, email: str = "ada@example.com") -> dict[str, Any]:
    await register(client, email)
    reply = await log_in(client, email)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def refresh(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await client.post("/api/v1/auth/refresh", json={"refresh_token": token})


async def me(client: httpx2.AsyncClient, access_token: str) -> int:
    headers = {"Authorization": f"Bearer {access_token}"}
    return (await client.get("/api/v1/users/me", headers=headers)).status_code


async def test_refresh_gives_the_next_pair(client: httpx2.AsyncClient) -> None:
    first = await tokens(client)
    reply = await refresh(client, first["refresh_token"])
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    second = reply.json()
    assert second["refresh_token"] != first["refresh_token"]
    assert await me(client, second["access_token"]) == 200
    assert (await refresh(client, second["refresh_token"])).status_code == 200


async def test_refresh_token_is_stored_as_its_digest_only(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    token = (await tokens(client))["refresh_token"]
    async with database.read() as connection:
        rows = [str(row) for row in await connection.execute(text("SELECT * FROM refresh_tokens"))]
        rows += [str(row) for row in await connection.execute(text("SELECT * FROM sessions"))]
    assert rows
    assert not [row for row in rows if token in row or token.removeprefix("rt_") in row]


async def test_reuse_of_a_refresh_token_ends_the_session_for_good(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    first = await tokens(client)
    elsewhere = (await log_in(client, "ada@example.com")).json()
    second = (await refresh(client, first["refresh_token"])).json()
    reused = await refresh(client, first["refresh_token"])
    assert reused.status_code == 401
    assert reused.json()["type"] == "urn:fastapi-base:invalid-refresh-token"
    # The thief's tokens and the owner's, both kinds; the account's other session goes on.
    assert (await refresh(client, second["refresh_token"])).status_code == 401
    assert await me(client, second["access_token"]) == 401
    assert await me(client, first["access_token"]) == 401
    assert await me(client, elsewhere["access_token"]) == 200
    async with database.read() as connection:
        reasons = await connection.scalars(select(col(LoginSession.revoked_reason)))
        assert sorted(str(reason) for reason in reasons) == ["None", "refresh-token-reused"]


@pytest.mark.parametrize("token", ["x", "rt_" + "A" * 43, "\ud800", "rt_\0"])
async def test_token_that_was_never_given_out_ends_nothing(
    client: httpx2.AsyncClient, token: str
) -> None:
    good = await tokens(client)
    body = json.dumps({"refresh_token": token})
    reply = await client.post(
        "/api/v1/auth/refresh", content=body, headers={"Content-Type": "application/json"}
    )
    assert reply.status_code in {401, 422}
    assert await me(client, good["access_token"]) == 200


async def test_access_token_is_no_refresh_token_nor_the_other_way(
    client: httpx2.AsyncClient,
) -> None:
    good = await tokens(client)
    assert (await refresh(client, good["access_token"])).status_code in {401, 422}
    assert await me(client, good["refresh_token"]) == 401
    assert (await refresh(client, good["refresh_token"])).status_code == 200


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
async def test_refresh_is_refused_when_its_ground_is_gone(
    client: httpx2.AsyncClient, database: RolledBackDatabase, change: Any
) -> None:
    good = await tokens(client)
    async with database.transaction() as session:
        await session.exec(change)
    assert (await refresh(client, good["refresh_token"])).status_code == 401


async def test_session_that_expired_takes_its_access_tokens_along(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    good = await tokens(client)
    async with database.transaction() as session:
        await session.exec(
            update(LoginSession).values(expires_at=text("now() - interval '1 second'"))
        )
    assert await me(client, good["access_token"]) == 401


async def test_list_says_where_one_is_logged_in(client: httpx2.AsyncClient) -> None:
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


async def test_ended_session_stops_with_the_next_request(client: httpx2.AsyncClient) -> None:
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


async def test_session_of_somebody_else_does_not_exist(client: httpx2.AsyncClient) -> None:
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


@pytest.fixture
def start(
    make_settings: Callable[[str], Settings], fresh_database_url: str
) -> Callable[[int], Any]:
    """The application on a database that it commits to, with several connections."""

    async def started(leeway: int) -> AsyncIterator[httpx2.AsyncClient]:
        settings = make_settings(fresh_database_url)
        auth = settings.auth.model_copy(update={"refresh_leeway_seconds": leeway})
        app = create_app(settings.model_copy(update={"auth": auth}))
        async with calling(app) as client:
            yield client

    return started


@pytest.mark.parametrize(("leeway", "afterwards"), [(0, 401), (30, 200)])
async def test_of_uses_at_once_exactly_one_wins(
    start: Callable[[int], AsyncIterator[httpx2.AsyncClient]], leeway: int, afterwards: int
) -> None:
    async for client in start(leeway):
        for _ in range(5):
            good = await tokens(client)
            replies = await asyncio.gather(
                *(refresh(client, good["refresh_token"]) for _ in range(6))
            )
            assert sorted(reply.status_code for reply in replies) == [200, 401, 401, 401, 401, 401]
            won = next(reply.json() for reply in replies if reply.status_code == 200)
            # Without leeway two users of one token are two holders: the winner's tokens end too.
            assert await me(client, won["access_token"]) == afterwards
            assert (await refresh(client, won["refresh_token"])).status_code == afterwards
