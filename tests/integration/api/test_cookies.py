"""Cookie sessions: protected from scripts and cross-site requests."""

from collections.abc import Callable

import pytest
from redis.asyncio import Redis
from sqlalchemy import select
from sqlmodel import col

from fastapi_base.core.config import AppSettings, RedisSettings, Settings
from fastapi_base.models import RefreshToken
from tests.integration.accounts import authorization, log_in, new_user
from tests.integration.api import browsing
from tests.integration.api.browsing import ADA, LOGIN, ME, OURS, Tab
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
tab = browsing.tab


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
