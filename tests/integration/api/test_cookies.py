"""Cookie sessions: protected from scripts, cross-site requests and session fixation."""

from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis
from sqlalchemy import select, text, update
from sqlmodel import col

from fastapi_base.core.config import AppSettings, RedisSettings, Settings
from fastapi_base.models import LoginSession, RefreshToken, User
from tests.integration.accounts import PASSWORD, authorization, bearer, log_in, new_user, register
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
ADA = "ada@example.com"
LOGIN = "/api/v1/auth/login?mode=cookie"
ME = "/api/v1/users/me"
OURS = {"Sec-Fetch-Site": "same-origin"}


class Tab:
    """A page of the application in a browser: it has the cookie and the CSRF token."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        self.cookie = ""
        self.token = ""
        self.reply: httpx2.Response

    async def log_in(self, email: str = ADA, **headers: str) -> httpx2.Response:
        form = {"username": email, "password": PASSWORD}
        self.client.cookies.clear()
        self.reply = await self.client.post(LOGIN, data=form, headers=OURS | self.own() | headers)
        if self.reply.status_code == 200:
            found = SimpleCookie(self.reply.headers["set-cookie"])
            self.cookie = next(iter(found.values())).value
            self.token = self.reply.json()["csrf_token"]
        self.client.cookies.clear()
        return self.reply

    def own(self) -> dict[str, str]:
        return {"Cookie": f"__Host-session={self.cookie}"} if self.cookie else {}

    async def send(self, method: str, path: str, **headers: str) -> httpx2.Response:
        reply = await self.client.request(method, path, headers=self.own() | headers)
        self.client.cookies.clear()
        return reply

    async def change(self, **headers: str) -> int:
        """A state-changing request: end a session that does not exist."""
        path = "/api/v1/sessions/00000000-0000-0000-0000-000000000000"
        return (await self.send("DELETE", path, **headers)).status_code

    async def works(self) -> bool:
        return (await self.send("GET", ME)).status_code == 200


@pytest.fixture
async def tab(client: httpx2.AsyncClient) -> Tab:
    await register(client, ADA)
    return Tab(client)


async def test_cookie_has_protective_attributes(tab: Tab, database: RolledBackDatabase) -> None:
    reply = await tab.log_in()
    assert reply.status_code == 200, reply.text
    assert set(reply.json()) == {"csrf_token"}
    assert reply.headers["cache-control"] == "no-store"
    given = reply.headers["set-cookie"]
    assert given.startswith("__Host-session=bs_")
    attributes = {part.strip().lower() for part in given.split(";")[1:]}
    assert attributes == {"httponly", "secure", "samesite=strict", "path=/", "max-age=7776000"}
    assert await tab.works()
    async with database.read() as connection:
        assert not list(await connection.scalars(select(col(RefreshToken.digest))))


async def test_redis_holds_no_usable_cookie(tab: Tab, redis: Redis) -> None:
    await tab.log_in()
    (key,) = await redis.keys("fastapi-base:browser:*")
    assert tab.cookie not in str(key)
    assert tab.cookie.removeprefix("bs_") not in str(await redis.get(key))
    assert 1_200_000 < await redis.ttl(key) <= 1_209_600


async def test_changes_require_the_token_and_the_own_origin(tab: Tab) -> None:
    await tab.log_in()
    good = {"X-CSRF-Token": tab.token}
    assert await tab.change(**OURS, **good) == 404
    # Plain HTTP, where browsers send only Origin.
    assert await tab.change(Origin="http://test", **good) == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://test"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://test.evil.example"},
        {"Origin": "https://test"},
        {"Origin": "http://test:8080"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Referer": "http://test/"},
        {},
    ],
)
async def test_cross_site_requests_are_refused_even_with_the_token(
    tab: Tab, headers: dict[str, str]
) -> None:
    await tab.log_in()
    assert await tab.change(**headers, **{"X-CSRF-Token": tab.token}) == 403


async def test_same_site_request_without_the_token_is_refused(tab: Tab) -> None:
    await tab.log_in()
    mine = tab.token
    other = Tab(tab.client)
    await other.log_in()
    assert await tab.change(**OURS) == 403
    for wrong in ["", "x", other.token, tab.cookie, mine + "x", mine[:-1]]:
        assert await tab.change(**OURS, **{"X-CSRF-Token": wrong}) == 403
    assert await tab.works()


async def test_page_can_read_the_token_again(tab: Tab, redis: Redis) -> None:
    await tab.log_in()
    assert await tab.works()
    before = (await redis.info("commandstats"))["cmdstat_getex"]["calls"]
    reply = await tab.send("GET", "/api/v1/auth/csrf")
    # The browser's session is looked up once.
    assert (await redis.info("commandstats"))["cmdstat_getex"]["calls"] == before + 1
    assert reply.json() == {"csrf_token": tab.token}
    assert reply.headers["cache-control"] == "no-store"
    assert "access-control-allow-credentials" not in reply.headers
    headers = await new_user(tab.client, "eve@example.com")
    assert (await tab.client.get("/api/v1/auth/csrf", headers=headers)).status_code == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_cross_site_login_is_refused(tab: Tab, site: str) -> None:
    reply = await tab.log_in(**{"Sec-Fetch-Site": site})
    assert reply.status_code == 403
    assert "set-cookie" not in reply.headers


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


class TestWithoutRedis:
    """While Redis does not respond."""

    @pytest.fixture
    def settings(self, make_settings: Callable[[str], Settings], database_url: str) -> Settings:
        nobody = RedisSettings.model_validate({"url": "redis://127.0.0.1:9/0"})
        return make_settings(database_url).model_copy(update={"redis": nobody})

    async def test_cookies_are_neither_issued_nor_accepted_nor_cleared(self, tab: Tab) -> None:
        assert (await tab.log_in()).status_code == 503
        tab.cookie = "bs_" + "A" * 43
        reply = await tab.send("GET", ME)
        assert reply.status_code == 503
        assert "set-cookie" not in reply.headers
        # Tokens need no Redis.
        headers = await new_user(tab.client, "eve@example.com")
        assert (await tab.client.get(ME, headers=headers)).status_code == 200


async def test_authorization_header_takes_precedence(tab: Tab) -> None:
    await tab.log_in()
    eve = await new_user(tab.client, "eve@example.com")
    me = await tab.send("GET", ME, **eve)
    assert me.json()["email"] == "eve@example.com"
    # The cookie does not rescue an invalid header, and a valid header needs no CSRF token.
    for bad in ["Bearer x", "Bearer ", "Basic YTpi", ""]:
        assert (await tab.send("GET", ME, Authorization=bad)).status_code == 401
    assert await tab.change(**eve) == 404
    reply = await tab.send("POST", "/api/v1/auth/logout", **eve)
    assert reply.status_code == 204
    assert "set-cookie" not in reply.headers
    assert await tab.works()


async def test_cookie_and_token_are_not_interchangeable(tab: Tab) -> None:
    await tab.log_in()
    reply = await tab.client.get(ME, headers=authorization(tab.cookie))
    assert reply.status_code == 401
    access = (await log_in(tab.client, ADA)).json()["access_token"]
    for wrong in [access, tab.token, "session=" + tab.cookie]:
        tab.cookie = wrong
        assert not await tab.works()


async def test_refused_login_sets_no_cookie(tab: Tab) -> None:
    form = {"username": ADA, "password": "wrong"}
    reply = await tab.client.post(LOGIN, data=form, headers=OURS)
    assert reply.status_code == 401
    assert "set-cookie" not in reply.headers


class TestDevelopment:
    """Plain HTTP on this machine, where the cookie prefix cannot be used."""

    @pytest.fixture
    def settings(self, make_settings: Callable[[str], Settings], database_url: str) -> Settings:
        given = make_settings(database_url)
        return given.model_copy(update={"app": AppSettings(environment="development")})

    async def test_cookie_works_without_the_prefix(self, tab: Tab) -> None:
        reply = await tab.log_in()
        given = reply.headers["set-cookie"]
        assert given.startswith("session=bs_")
        attributes = {part.strip().lower() for part in given.split(";")[1:]}
        assert attributes == {"httponly", "samesite=strict", "path=/", "max-age=7776000"}
        me = await tab.client.get(ME, headers={"Cookie": f"session={tab.cookie}"})
        assert me.status_code == 200
