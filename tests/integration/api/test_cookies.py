"""Cookie mode: a browser's session, out of reach of scripts, other sites and planted ids."""

from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis
from sqlalchemy import select, text, update
from sqlmodel import col

from fastapi_base.core.config import AppSettings, Settings
from fastapi_base.models import LoginSession, RefreshToken, User
from tests.integration.accounts import PASSWORD, log_in, new_user, register
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
ADA = "ada@example.com"
LOGIN = "/api/v1/auth/login?mode=cookie"
ME = "/api/v1/users/me"
OURS = {"Sec-Fetch-Site": "same-origin"}


class Tab:
    """A page of our own in a browser: it holds the cookie, and the token beside it."""

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
        """Something that changes: a session that does not exist is asked to end."""
        path = "/api/v1/sessions/00000000-0000-0000-0000-000000000000"
        return (await self.send("DELETE", path, **headers)).status_code

    async def works(self) -> bool:
        return (await self.send("GET", ME)).status_code == 200


@pytest.fixture
async def tab(client: httpx2.AsyncClient) -> Tab:
    await register(client, ADA)
    return Tab(client)


async def test_cookie_is_out_of_reach(tab: Tab, database: RolledBackDatabase) -> None:
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


async def test_redis_holds_no_cookie_that_could_be_used(tab: Tab, redis: Redis) -> None:
    await tab.log_in()
    (key,) = await redis.keys("fastapi-base:browser:*")
    assert tab.cookie not in str(key)
    assert tab.cookie.removeprefix("bs_") not in str(await redis.get(key))
    assert 1_200_000 < await redis.ttl(key) <= 1_209_600


async def test_changes_need_the_token_and_our_own_page(tab: Tab) -> None:
    await tab.log_in()
    good = {"X-CSRF-Token": tab.token}
    assert await tab.change(**OURS, **good) == 404
    # Plain HTTP, where browsers say only Origin.
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
        {"Referer": "http://test/"},
        {},
    ],
)
async def test_other_sites_change_nothing_even_with_the_token(
    tab: Tab, headers: dict[str, str]
) -> None:
    await tab.log_in()
    assert await tab.change(**headers, **{"X-CSRF-Token": tab.token}) == 403


async def test_our_own_page_without_the_token_changes_nothing(tab: Tab) -> None:
    await tab.log_in()
    mine = tab.token
    other = Tab(tab.client)
    await other.log_in()
    assert await tab.change(**OURS) == 403
    for wrong in ["", "x", other.token, tab.cookie, mine + "x", mine[:-1]]:
        assert await tab.change(**OURS, **{"X-CSRF-Token": wrong}) == 403
    assert await tab.works()


async def test_token_can_be_read_again_by_the_page(tab: Tab) -> None:
    await tab.log_in()
    reply = await tab.send("GET", "/api/v1/auth/csrf")
    assert reply.json() == {"csrf_token": tab.token}
    assert reply.headers["cache-control"] == "no-store"
    assert "access-control-allow-credentials" not in reply.headers
    headers = await new_user(tab.client, "eve@example.com")
    assert (await tab.client.get("/api/v1/auth/csrf", headers=headers)).status_code == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_site_cannot_log_a_visitor_in(tab: Tab, site: str) -> None:
    reply = await tab.log_in(**{"Sec-Fetch-Site": site})
    assert reply.status_code == 403
    assert "set-cookie" not in reply.headers


async def test_planted_id_is_not_taken_over(tab: Tab) -> None:
    """Session fixation: an id that the attacker knows, valid or made up."""
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


async def test_each_login_has_a_new_id_and_ends_the_one_before(
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


@pytest.mark.parametrize(
    "change",
    [
        update(LoginSession).values(revoked_at=text("now()")),
        update(LoginSession).values(expires_at=text("now() - interval '1 second'")),
        update(User).values(is_active=False),
    ],
    ids=["revoked", "expired", "account inactive"],
)
async def test_ended_session_stops_with_the_next_request(
    tab: Tab, database: RolledBackDatabase, change: Any
) -> None:
    await tab.log_in()
    assert await tab.works()
    async with database.transaction() as session:
        await session.exec(change)
    assert not await tab.works()


async def test_owner_ends_it_from_elsewhere(tab: Tab) -> None:
    await tab.log_in()
    reply = await log_in(tab.client, ADA)
    headers = {"Authorization": f"Bearer {reply.json()['access_token']}"}
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


async def test_lost_redis_means_to_log_in_again(tab: Tab, redis: Redis) -> None:
    await tab.log_in()
    await redis.flushdb()
    assert not await tab.works()
    assert (await tab.log_in()).status_code == 200
    assert await tab.works()


async def test_authorization_header_counts_alone(tab: Tab) -> None:
    await tab.log_in()
    eve = await new_user(tab.client, "eve@example.com")
    me = await tab.send("GET", ME, **eve)
    assert me.json()["email"] == "eve@example.com"
    # Neither does the cookie help a bad header, nor need a good header the token of the cookie.
    for bad in ["Bearer x", "Bearer ", "Basic YTpi", ""]:
        assert (await tab.send("GET", ME, Authorization=bad)).status_code == 401
    assert await tab.change(**eve) == 404
    reply = await tab.send("POST", "/api/v1/auth/logout", **eve)
    assert reply.status_code == 204
    assert "set-cookie" not in reply.headers
    assert await tab.works()


async def test_cookie_is_no_token_nor_the_other_way(tab: Tab) -> None:
    await tab.log_in()
    bearer = {"Authorization": f"Bearer {tab.cookie}"}
    assert (await tab.client.get(ME, headers=bearer)).status_code == 401
    access = (await log_in(tab.client, ADA)).json()["access_token"]
    for wrong in [access, tab.token, "session=" + tab.cookie]:
        tab.cookie = wrong
        assert not await tab.works()


async def test_refusals_of_login_set_no_cookie(tab: Tab) -> None:
    form = {"username": ADA, "password": "wrong"}
    reply = await tab.client.post(LOGIN, data=form, headers=OURS)
    assert reply.status_code == 401
    assert "set-cookie" not in reply.headers


class TestDevelopment:
    """Plain HTTP on this machine, where the prefix cannot be had."""

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
