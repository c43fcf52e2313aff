"""Request ids, security headers, CORS, body limit, access log."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from fastapi_base.core.config import AppSettings, Settings
from fastapi_base.main import create_app

pytestmark = pytest.mark.anyio


async def test_sane_request_id_is_kept(client: httpx2.AsyncClient) -> None:
    reply = await client.get("/health/live", headers={"x-request-id": "caller-id.42"})
    assert reply.headers["x-request-id"] == "caller-id.42"


async def test_of_several_request_ids_the_first_is_kept(client: httpx2.AsyncClient) -> None:
    headers = [("x-request-id", "the-first.1"), ("x-request-id", "the-second.2")]
    reply = await client.get("/health/live", headers=headers)
    assert reply.headers.get_list("x-request-id") == ["the-first.1"]


@pytest.mark.parametrize("given", ["short", "x" * 65, "bad id 12345", 'a"b\tc12345', "ünïcödé12"])
async def test_other_request_id_is_replaced(client: httpx2.AsyncClient, given: str) -> None:
    headers = {b"x-request-id": given.encode()}
    reply = await client.get("/health/live", headers=headers)
    assert len(reply.headers["x-request-id"]) == 32


async def test_no_two_requests_share_an_id(client: httpx2.AsyncClient) -> None:
    replies = [await client.get("/health/live") for _ in range(3)]
    assert len({reply.headers["x-request-id"] for reply in replies}) == 3


async def test_replies_carry_security_headers(client: httpx2.AsyncClient) -> None:
    headers = (await client.get("/health/live")).headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers


async def test_documentation_page_may_run_its_viewer(client: httpx2.AsyncClient) -> None:
    reply = await client.get("/docs")
    assert reply.status_code == 200
    assert "script-src 'unsafe-inline' https:" in reply.headers["content-security-policy"]


async def test_production_asks_for_https(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"app": AppSettings(environment="production")}))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://test") as client:
        reply = await client.get("/health/live")
    assert reply.headers["strict-transport-security"].startswith("max-age=")


async def test_only_listed_origins_are_let_in(client: httpx2.AsyncClient) -> None:
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


async def test_health_checks_do_not_fill_the_log(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await client.get("/health/live")
    assert not [found for found in caplog.records if found.name == "fastapi_base.access"]
