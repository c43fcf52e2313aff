"""Rate limits, with a real Redis and without one."""

from collections.abc import Callable
from contextlib import ExitStack

import httpx2
import jwt
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from fastapi_base.core.config import RateLimitSettings, RedisSettings, Settings
from fastapi_base.core.security.api_key import new_key
from fastapi_base.main import create_app
from tests import servers
from tests.integration.accounts import authorization, new_user

pytestmark = pytest.mark.anyio

LIMITS = RateLimitSettings(
    principal="5/hour", address="3/hour", routes=("POST /api/v1/jobs=2/hour",)
)


@pytest.fixture
def make_settings(
    make_settings: Callable[[str], Settings],
) -> Callable[[str], Settings]:
    """The usual settings with low limits."""
    return lambda url: make_settings(url).model_copy(update={"rate_limit": LIMITS})


def at(app: FastAPI, address: str) -> httpx2.AsyncClient:
    """A client with this IP address."""
    transport = httpx2.ASGITransport(app=app, client=(address, 4711))
    return httpx2.AsyncClient(transport=transport, base_url="http://test")


async def nowhere(client: httpx2.AsyncClient, **headers: str) -> httpx2.Response:
    return await client.get("/nowhere", headers=headers)


async def test_anonymous_requests_are_limited_by_network(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    async with at(app, "2001:db8::1") as one, at(app, "2001:db8::2") as neighbour:
        replies = [await nowhere(c) for c in (one, neighbour, one, neighbour)]
        assert [reply.status_code for reply in replies] == [404, 404, 404, 429]
        assert replies[0].headers["ratelimit-policy"] == '"address";q=3;w=3600'
        assert replies[0].headers["ratelimit"].startswith('"address";r=2;t=')
        last = replies[-1]
        assert last.json()["type"] == "urn:fastapi-base:rate-limited"
        # One request leaves the count every 1200 s.
        assert 1190 < int(last.headers["retry-after"]) <= 1200
        assert last.headers["ratelimit"].startswith('"address";r=0;t=')
        assert (await one.get("/health/live")).status_code == 200
    async with at(app, "2001:db8:0:1::1") as other:
        assert (await nowhere(other)).status_code == 404


async def test_api_key_is_not_decoded_as_a_token(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    monkeypatch.setattr(jwt, "get_unverified_header", decoded.append)
    reply = await nowhere(client, authorization=f"Bearer {new_key().value}")
    assert reply.headers["ratelimit"].startswith('"address"')
    assert decoded == []


async def test_accounts_are_limited_across_networks(app: FastAPI) -> None:
    async with app.router.lifespan_context(app), at(app, "192.0.2.1") as home:
        me = await new_user(home, "ada@example.com")
        for last in range(10, 14):
            async with at(app, f"192.0.2.{last}") as client:
                assert (await client.get("/api/v1/users/me", headers=me)).status_code == 200
        async with at(app, "192.0.2.20") as client:
            assert (await client.get("/api/v1/users/me", headers=me)).status_code == 200
            refused = await client.get("/api/v1/users/me", headers=me)
            assert refused.status_code == 429
            assert refused.headers["ratelimit-policy"] == '"principal";q=5;w=3600'


async def test_api_keys_are_limited_by_network(app: FastAPI) -> None:
    async with app.router.lifespan_context(app), at(app, "192.0.2.1") as home:
        me = await new_user(home, "ada@example.com")
        body = {"name": "x", "scopes": ["profile:read"]}
        keys = [
            (await home.post("/api/v1/api-keys", json=body, headers=me)).json()["key"]
            for _ in range(2)
        ]
        async with at(app, "192.0.2.2") as one, at(app, "192.0.2.3") as other:
            replies = [
                await client.get("/api/v1/users/me", headers=authorization(key))
                for client, key in [(one, keys[0]), (one, keys[1])] * 2 + [(other, keys[0])]
            ]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429, 200]


async def test_cookie_sessions_are_limited_by_network(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    async with at(app, "192.0.2.1") as one:
        cookies = [f"__Host-session=bs_{n}" for n in range(4)]
        replies = [await nowhere(one, cookie=cookie) for cookie in cookies]
    assert [reply.status_code for reply in replies] == [404, 404, 404, 429]


async def test_forged_token_is_limited_by_network(app: FastAPI, client: httpx2.AsyncClient) -> None:
    async with at(app, "192.0.2.1") as one:
        tokens = [f"Bearer forged{n}" for n in range(4)]
        replies = [await nowhere(one, authorization=token) for token in tokens]
    assert [reply.status_code for reply in replies] == [404, 404, 404, 429]


async def test_route_has_its_own_quota(app: FastAPI) -> None:
    async with app.router.lifespan_context(app), at(app, "192.0.2.1") as client:
        me = await new_user(client, "ada@example.com")
        body = {"text": "one fish"}
        replies = [
            await client.post("/api/v1/jobs/word-count", json=body, headers=me) for _ in range(3)
        ]
        assert [reply.status_code for reply in replies] == [202, 202, 429]
        assert '"route";q=2;w=3600' in replies[0].headers["ratelimit-policy"]
        # Requests that the route refused did not consume the account's own quota.
        left = [await client.get("/api/v1/users/me", headers=me) for _ in range(4)]
        assert [reply.status_code for reply in left] == [200, 200, 200, 429]


async def test_exempt_networks_are_not_limited(
    make_settings: Callable[[str], Settings], database_url: str, redis: Redis
) -> None:
    free = LIMITS.model_copy(update={"exempt": ("192.0.2.0/24",)})
    app = create_app(make_settings(database_url).model_copy(update={"rate_limit": free}))
    async with app.router.lifespan_context(app), at(app, "192.0.2.1") as client:
        replies = [await nowhere(client) for _ in range(5)]
    assert {reply.status_code for reply in replies} == {404}
    assert "ratelimit" not in replies[0].headers


async def test_limits_work_without_redis(
    make_settings: Callable[[str], Settings], database_url: str
) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(servers.redis_server())
        settings = make_settings(database_url).model_copy(
            update={"redis": RedisSettings.model_validate({"url": url})}
        )
        app = create_app(settings)
        async with app.router.lifespan_context(app), at(app, "192.0.2.1") as client:
            assert (await nowhere(client)).status_code == 404
            stack.close()
            replies = [await nowhere(client) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [404, 404, 404, 429]
