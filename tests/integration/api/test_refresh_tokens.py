"""Refreshes can be retried, and copied refresh tokens are detected."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import NullPool, func, select, text, update
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.main import create_app
from fastapi_base.models import LoginSession, RefreshToken
from tests.calling import calling
from tests.integration.accounts import actions, log_in
from tests.integration.api.refreshing import age, me, refresh, tokens
from tests.integration.changing import while_locked
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio


async def test_refresh_issues_the_next_token_pair(client: httpx2.AsyncClient) -> None:
    first = await tokens(client)
    reply = await refresh(client, first["refresh_token"])
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    second = reply.json()
    assert second["refresh_token"] != first["refresh_token"]
    assert await me(client, second["access_token"]) == 200
    assert (await refresh(client, second["refresh_token"])).status_code == 200


async def test_refresh_token_is_stored_only_as_its_digest(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    token = (await tokens(client))["refresh_token"]
    async with database.read() as connection:
        rows = [str(row) for row in await connection.execute(text("SELECT * FROM refresh_tokens"))]
        rows += [str(row) for row in await connection.execute(text("SELECT * FROM sessions"))]
    assert rows
    assert not [row for row in rows if token in row or token.removeprefix("rt_") in row]


async def test_refresh_token_reuse_ends_the_session(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    first = await tokens(client)
    elsewhere = (await log_in(client, "ada@example.com")).json()
    second = (await refresh(client, first["refresh_token"])).json()
    third = (await refresh(client, second["refresh_token"])).json()
    await age(database)
    reused = await refresh(client, first["refresh_token"])
    assert reused.status_code == 401
    assert reused.json()["type"] == "urn:fastapi-base:invalid-refresh-token"
    # Both kinds of tokens of the thief and of the owner; another session of the account stays
    # valid.
    assert (await refresh(client, third["refresh_token"])).status_code == 401
    for ended in (first, second, third):
        assert await me(client, ended["access_token"]) == 401
    assert await me(client, elsewhere["access_token"]) == 200
    async with database.read() as connection:
        reasons = await connection.scalars(select(col(LoginSession.revoked_reason)))
        assert sorted(str(reason) for reason in reasons) == ["None", "refresh-token-reused"]


async def test_concurrent_tabs_within_the_leeway_share_one_token(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    shared = (await tokens(client))["refresh_token"]
    for _ in range(3):
        tabs = [(await refresh(client, shared)).json() for _ in range(2)]
        assert tabs[0]["refresh_token"] == tabs[1]["refresh_token"] != shared
        for tab in tabs:
            assert await me(client, tab["access_token"]) == 200
        # One tab is late: the other one has already used the next token.
        following = (await refresh(client, tabs[0]["refresh_token"])).json()
        late = await refresh(client, shared)
        assert late.json()["refresh_token"] == tabs[0]["refresh_token"]
        shared = following["refresh_token"]
        await age(database)


async def test_lost_reply_can_be_retried_at_any_time(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    kept = (await tokens(client))["refresh_token"]
    seen = {kept}
    for _ in range(3):
        reply = await refresh(client, kept)
        assert reply.status_code == 200
        seen.add(reply.json()["refresh_token"])
        await age(database, 5 * 3600)
    assert len(seen) == 4
    assert await me(client, reply.json()["access_token"]) == 200
    assert (await refresh(client, reply.json()["refresh_token"])).status_code == 200
    logged = await actions(database)
    assert logged.count("refresh-token.retried") == 2
    assert "refresh-token.reused" not in logged


async def test_thief_with_a_used_token_is_detected_at_the_owners_next_refresh(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    stolen = (await tokens(client))["refresh_token"]
    owner = (await refresh(client, stolen)).json()
    await age(database)
    thief = (await refresh(client, stolen)).json()
    assert thief["refresh_token"] != owner["refresh_token"]
    assert (await refresh(client, owner["refresh_token"])).status_code == 401
    assert (await refresh(client, thief["refresh_token"])).status_code == 401
    assert await me(client, thief["access_token"]) == 401


async def test_thief_within_the_leeway_is_detected_at_the_next_refresh(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    stolen = (await tokens(client))["refresh_token"]
    owner = (await refresh(client, stolen)).json()["refresh_token"]
    thief = (await refresh(client, stolen)).json()["refresh_token"]
    assert owner == thief
    await age(database)
    owner = (await refresh(client, owner)).json()["refresh_token"]
    await age(database)
    # Instead of the owner's token, which was not used yet.
    thief = (await refresh(client, thief)).json()["refresh_token"]
    assert (await refresh(client, owner)).status_code == 401
    assert (await refresh(client, thief)).status_code == 401


async def test_stored_data_cannot_turn_an_old_token_into_a_valid_one(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    token = (await tokens(client))["refresh_token"]
    for _ in range(4):
        token = (await refresh(client, token)).json()["refresh_token"]
        await age(database)
    salts = select(func.count(col(RefreshToken.successor_salt)), func.count())
    async with database.read() as connection:
        assert tuple((await connection.execute(salts)).one()) == (1, 5)


async def test_token_exchanged_by_the_previous_release_counts_as_reused(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    good = await tokens(client)
    async with database.transaction() as session:
        await session.exec(update(RefreshToken).values(used_at=func.statement_timestamp()))
    assert (await refresh(client, good["refresh_token"])).status_code == 401
    assert await me(client, good["access_token"]) == 401


@pytest.mark.parametrize("token", ["x", "rt_" + "A" * 43, "\ud800", "rt_\0"])
async def test_token_that_was_never_issued_ends_no_session(
    client: httpx2.AsyncClient, token: str
) -> None:
    good = await tokens(client)
    body = json.dumps({"refresh_token": token})
    reply = await client.post(
        "/api/v1/auth/refresh", content=body, headers={"Content-Type": "application/json"}
    )
    assert reply.status_code in {401, 422}
    assert await me(client, good["access_token"]) == 200


async def test_access_and_refresh_tokens_are_not_interchangeable(
    client: httpx2.AsyncClient,
) -> None:
    good = await tokens(client)
    assert (await refresh(client, good["access_token"])).status_code in {401, 422}
    assert await me(client, good["refresh_token"]) == 401
    assert (await refresh(client, good["refresh_token"])).status_code == 200


@pytest.fixture
def start(make_settings: Callable[[str], Settings], fresh_database_url: str) -> Callable[..., Any]:
    """Two application instances, as in two processes, on a database with real commits."""

    @asynccontextmanager
    async def started(**given: int) -> AsyncIterator[list[httpx2.AsyncClient]]:
        settings = make_settings(fresh_database_url)
        auth = settings.auth.model_copy(update=given)
        changed = settings.model_copy(update={"auth": auth})
        async with calling(create_app(changed)) as one, calling(create_app(changed)) as other:
            yield [one, other]

    return started


async def at_once(clients: list[httpx2.AsyncClient], token: str) -> list[httpx2.Response]:
    """The results of six uses of a token, alternating between the processes."""
    return await asyncio.gather(*(refresh(client, token) for client in clients * 3))


async def test_concurrent_refreshes_get_the_same_next_token(start: Callable[..., Any]) -> None:
    async with start() as clients:
        good = await tokens(clients[0])
        token = good["refresh_token"]
        for _ in range(5):
            replies = await at_once(clients, token)
            assert {reply.status_code for reply in replies} == {200}
            (token,) = {reply.json()["refresh_token"] for reply in replies}
            for reply in replies:
                assert await me(clients[0], reply.json()["access_token"]) == 200


async def test_without_leeway_concurrent_refreshes_end_the_session(
    start: Callable[..., Any],
) -> None:
    async with start(refresh_leeway_seconds=0) as clients:
        for _ in range(5):
            good = await tokens(clients[0])
            replies = await at_once(clients, good["refresh_token"])
            assert sorted(reply.status_code for reply in replies) == [200, 401, 401, 401, 401, 401]
            won = next(reply.json() for reply in replies if reply.status_code == 200)
            # Two users of one token are two holders: the winner's tokens are revoked too.
            assert await me(clients[1], won["access_token"]) == 401
            assert (await refresh(clients[1], won["refresh_token"])).status_code == 401


async def test_concurrent_late_retries_get_the_same_next_token(
    start: Callable[..., Any], fresh_database_url: str
) -> None:
    engine = create_async_engine(fresh_database_url, poolclass=NullPool)
    async with start() as clients:
        token = (await tokens(clients[0]))["refresh_token"]
        lost = (await refresh(clients[0], token)).json()["refresh_token"]
        async with engine.begin() as connection:
            earlier = col(RefreshToken.used_at) - timedelta(hours=3)
            await connection.execute(update(RefreshToken).values(used_at=earlier))
        replies = await at_once(clients, token)
        assert {reply.status_code for reply in replies} == {200}
        (found,) = {reply.json()["refresh_token"] for reply in replies}
        assert found != lost
        assert (await refresh(clients[1], found)).status_code == 200


async def test_refresh_concurrent_with_the_session_end_is_refused(
    start: Callable[..., Any], fresh_database_url: str
) -> None:
    engine = create_async_engine(fresh_database_url, poolclass=NullPool)
    async with start() as clients:
        good = await tokens(clients[0])
        ended = update(LoginSession).values(revoked_at=func.now(), revoked_reason="logout")
        lock = select(col(LoginSession.id)).with_for_update()
        request = refresh(clients[1], good["refresh_token"])
        assert (await while_locked(engine, lock, [ended], request)).status_code == 401
        assert await me(clients[0], good["access_token"]) == 401
