"""Cookie sessions: protected from fixation, and ended at once."""

from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import select, text, update
from sqlmodel import col

from fastapi_base.models import LoginSession, User
from tests.integration.accounts import PASSWORD, bearer, log_in, new_user, register
from tests.integration.api import browsing
from tests.integration.api.browsing import ADA, LOGIN, ME, OURS, Tab
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
tab = browsing.tab


async def test_session_id_is_not_fixable(tab: Tab) -> None:
    """Session fixation: an ID that the attacker knows, valid or invented."""
    attacker = Tab(tab.client)
    await register(tab.client, "eve@example.com")
    await attacker.log_in("eve@example.com")
    for planted in [attacker.cookie, "bs_" + "A" * 43, "x"]:
        tab.cookie = planted
        await tab.log_in()
        assert tab.cookie != planted
        me = await tab.send("GET", ME)
        assert me.json()["email"] == ADA
    assert not await attacker.works()


async def test_each_login_issues_a_new_id_and_ends_the_previous_session(
    tab: Tab, database: RolledBackDatabase
) -> None:
    await tab.log_in()
    first = Tab(tab.client)
    first.cookie = tab.cookie
    await tab.log_in()
    assert tab.cookie != first.cookie
    assert await tab.works()
    assert not await first.works()
    async with database.read() as connection:
        reasons = list(await connection.scalars(select(col(LoginSession.revoked_reason))))
    assert sorted(map(str, reasons)) == ["None", "replaced"]


@pytest.mark.parametrize("header", ["a token", "an API key", "Basic YTpi", ""])
async def test_login_ends_the_session_of_its_cookie_despite_other_headers(
    tab: Tab, header: str
) -> None:
    eve = await new_user(tab.client, "eve@example.com")
    if header == "a token":
        header = eve["Authorization"]
    elif header == "an API key":
        body = {"name": "x", "scopes": ["profile:read"]}
        made = await tab.client.post("/api/v1/api-keys", json=body, headers=eve)
        header = f"Bearer {made.json()['key']}"
    await tab.log_in()
    first = Tab(tab.client)
    first.cookie = tab.cookie
    assert (await tab.log_in(Authorization=header)).status_code == 200
    assert await tab.works()
    assert not await first.works()
    assert (await tab.client.get(ME, headers=eve)).status_code == 200


async def test_token_login_ends_the_cookie_session_too(tab: Tab) -> None:
    await tab.log_in()
    form = {"username": ADA, "password": PASSWORD}
    path = LOGIN.partition("?")[0]
    # Cross-site pages cannot log a user out this way.
    for site in ["cross-site", "same-site"]:
        other = tab.own() | {"Sec-Fetch-Site": site}
        reply = await tab.client.post(path, data=form, headers=other)
        assert reply.status_code == 200
        assert "set-cookie" not in reply.headers
        assert await tab.works()
    reply = await tab.client.post(path, data=form, headers=OURS | tab.own())
    assert set(reply.json()) >= {"access_token", "refresh_token"}
    assert reply.headers["set-cookie"].lower().startswith('__host-session=""')
    assert not await tab.works()


@pytest.mark.parametrize(
    "change",
    [
        update(LoginSession).values(revoked_at=text("now()")),
        update(LoginSession).values(expires_at=text("now() - interval '1 second'")),
        update(User).values(is_active=False),
    ],
    ids=["revoked", "expired", "account inactive"],
)
async def test_ended_session_is_refused_from_the_next_request(
    tab: Tab, database: RolledBackDatabase, change: Any
) -> None:
    await tab.log_in()
    assert await tab.works()
    async with database.transaction() as session:
        await session.exec(change)
    assert not await tab.works()


async def test_owner_ends_the_session_from_another_device(tab: Tab) -> None:
    await tab.log_in()
    reply = await log_in(tab.client, ADA)
    headers = bearer(reply)
    assert (await tab.client.delete("/api/v1/sessions", headers=headers)).status_code == 204
    assert not await tab.works()


async def test_logout_clears_the_cookie(tab: Tab, redis: Redis) -> None:
    await tab.log_in()
    logout = "/api/v1/auth/logout"
    assert (await tab.send("POST", logout, **OURS)).status_code == 403
    reply = await tab.send("POST", logout, **OURS, **{"X-CSRF-Token": tab.token})
    assert reply.status_code == 204
    given = reply.headers["set-cookie"].lower()
    assert given.startswith('__host-session=""')
    for attribute in ["max-age=0", "path=/", "secure", "httponly"]:
        assert attribute in given
    assert not await tab.works()
    assert not await redis.keys("fastapi-base:browser:*")


async def test_loss_of_redis_requires_a_new_login(tab: Tab, redis: Redis) -> None:
    await tab.log_in()
    await redis.flushdb()
    assert not await tab.works()
    assert (await tab.log_in()).status_code == 200
    assert await tab.works()


async def test_cookie_session_expires_when_idle(tab: Tab, redis: Redis) -> None:
    await tab.log_in()
    (key,) = await redis.keys("fastapi-base:browser:*")
    await redis.expire(key, 100)
    assert await tab.works()
    assert 1_200_000 < await redis.ttl(key) <= 1_209_600
    # The idle time has passed.
    await redis.pexpire(key, 0)
    assert not await tab.works()
