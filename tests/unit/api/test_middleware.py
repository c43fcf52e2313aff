"""Request IDs, security headers, CORS, body limit, access log."""

from collections.abc import AsyncIterator
from unittest.mock import Mock

import httpx2
import pytest

from fastapi_base.api.middleware import rate_limit
from fastapi_base.core.config import AppSettings, RateLimitSettings, Settings
from fastapi_base.main import create_app

pytestmark = pytest.mark.anyio


async def test_valid_request_id_is_kept(client: httpx2.AsyncClient) -> None:
    reply = await client.get("/health/live", headers={"x-request-id": "caller-id.42"})
    assert reply.headers["x-request-id"] == "caller-id.42"


async def test_of_several_request_ids_the_first_is_kept(client: httpx2.AsyncClient) -> None:
    headers = [("x-request-id", "the-first.1"), ("x-request-id", "the-second.2")]
    reply = await client.get("/health/live", headers=headers)
    assert reply.headers.get_list("x-request-id") == ["the-first.1"]


@pytest.mark.parametrize("given", ["short", "x" * 65, "bad id 12345", 'a"b\tc12345', "ünïcödé12"])
async def test_invalid_request_id_is_replaced(client: httpx2.AsyncClient, given: str) -> None:
    headers = {b"x-request-id": given.encode()}
    reply = await client.get("/health/live", headers=headers)
    assert len(reply.headers["x-request-id"]) == 32


async def test_request_ids_are_unique(client: httpx2.AsyncClient) -> None:
    replies = [await client.get("/health/live") for _ in range(3)]
    assert len({reply.headers["x-request-id"] for reply in replies}) == 3


async def test_replies_carry_security_headers(client: httpx2.AsyncClient) -> None:
    headers = (await client.get("/health/live")).headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers


async def test_production_sends_hsts(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"app": AppSettings(environment="production")}))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://test") as client:
        reply = await client.get("/health/live")
    assert reply.headers["strict-transport-security"].startswith("max-age=")


async def test_only_listed_origins_are_allowed(client: httpx2.AsyncClient) -> None:
    asked = {"access-control-request-method": "POST"}
    good = await client.options(
        "/api/v1/auth/login", headers={"origin": "https://app.example.com", **asked}
    )
    assert good.headers["access-control-allow-origin"] == "https://app.example.com"
    bad = await client.options(
        "/api/v1/auth/login", headers={"origin": "https://evil.example.com", **asked}
    )
    assert "access-control-allow-origin" not in bad.headers


async def test_declared_length_beyond_the_limit_is_refused(client: httpx2.AsyncClient) -> None:
    reply = await client.post("/api/v1/auth/register", json={"email": "a" * 3000})
    assert reply.status_code == 413
    assert reply.json()["type"] == "urn:fastapi-base:content-too-large"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/v1/auth/register", "application/json"),
        ("/api/v1/auth/login", "application/x-www-form-urlencoded"),
    ],
)
async def test_undeclared_length_beyond_the_limit_is_refused(
    client: httpx2.AsyncClient, path: str, kind: str
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"a" * 100

    reply = await client.post(path, content=chunks(), headers={"content-type": kind})
    assert reply.status_code == 413
    assert reply.json()["type"] == "urn:fastapi-base:content-too-large"


async def test_request_is_logged_once_without_its_query(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await client.get("/api/v1/users/me?token=hunter2", headers={"x-request-id": "caller-id.42"})
    (record,) = [found for found in caplog.records if found.name == "fastapi_base.access"]
    assert isinstance(record.msg, dict)
    assert record.msg["path"] == "/api/v1/users/me"
    assert record.msg["status"] == 401
    assert record.msg["milliseconds"] >= 0
    assert record.msg["request_id"] == "caller-id.42"
    assert "hunter2" not in str(record.msg)


async def test_end_of_a_long_path_is_not_logged(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """It is cut at a slash, because half a secret might not be recognised."""
    await client.get(f"/start/{'a' * 1000}/fb_{'k' * 60}")
    (record,) = [found for found in caplog.records if found.name == "fastapi_base.access"]
    assert isinstance(record.msg, dict)
    assert record.msg["path"] == f"/start/{'a' * 1000}/[63 characters left out]"


async def test_health_checks_are_not_logged(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await client.get("/health/live")
    assert not [found for found in caplog.records if found.name == "fastapi_base.access"]


def test_rate_limit_of_no_route_is_logged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Mock()
    monkeypatch.setattr(rate_limit, "log", log)
    limits = (
        "POST /api/v1/auth=9/minute",
        "GET /api/v1/jobs/0197a5b0=9/minute",
        "POST /api/v1/auth/logn=9/minute",
        "GET /api/v1/auth/login=9/minute",
        "POST /shop/api/v1/jobs=9/minute",
    )
    given = settings.model_copy(update={"rate_limit": RateLimitSettings(routes=limits)})
    create_app(given)
    assert [call.kwargs["rule"] for call in log.warning.call_args_list] == [*limits[2:]]
