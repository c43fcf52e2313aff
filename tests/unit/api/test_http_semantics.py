"""What HTTP requires of every resource: HEAD, Allow, codings, media types, CORS, prefixes."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse
from starlette.routing import Route

from fastapi_base.core.config import Settings
from fastapi_base.main import REPLY_HEADERS, REQUEST_HEADERS, create_app
from tests.calling import calling

pytestmark = pytest.mark.anyio

# Readable by every page (Fetch standard, CORS-safelisted response-header name).
_SAFE_REPLY = {"cache-control", "content-language", "content-length", "content-type", "expires"}
# Set by the server on every reply, so not worth comparing.
_OWN = {"x-request-id", "date"}
# Present on failing probes; it tells how long each check took.
_VARYING = {"content-length"}
_TIMED = {"/health/ready", "/health/startup"}


def operations(description: dict[str, Any], method: str) -> dict[str, dict[str, Any]]:
    found = description["paths"].items()
    return {path: item[method] for path, item in found if method in item}


async def test_head_equals_get_without_content(app: FastAPI, client: httpx2.AsyncClient) -> None:
    paths = [*operations(app.openapi(), "get"), "/docs", "/docs/swagger-ui.css", "/openapi.json"]
    assert len(paths) > 20
    for path in paths:
        filled = path.replace("{", "").replace("}", "")
        got = await client.get(filled)
        head = await client.head(filled)
        assert head.status_code == got.status_code, path
        assert head.content == b"", path
        left_out = _OWN | (_VARYING if path in _TIMED else set())
        told = [{n: v for n, v in r.headers.items() if n not in left_out} for r in (head, got)]
        assert told[0] == told[1], path


async def test_head_of_a_stream_completes(settings: Settings) -> None:
    ended = []

    async def endless(_: object) -> StreamingResponse:
        async def parts() -> Any:
            try:
                while True:
                    yield b"more"
                    await asyncio.sleep(0)
            finally:
                ended.append(True)

        return StreamingResponse(parts(), media_type="text/plain", headers={"x-seen": "yes"})

    app = create_app(settings)
    app.router.routes.insert(0, Route("/endless", endless))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        reply = await client.head("/endless")
    assert (reply.status_code, reply.headers["x-seen"], reply.content) == (200, "yes", b"")
    assert ended == [True]


async def test_head_of_a_stream_is_not_a_client_disconnect(
    app: FastAPI, client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"a"
            await asyncio.Event().wait()

        return StreamingResponse(parts())

    @app.get("/broken")
    async def broken() -> None:
        raise ArithmeticError

    caplog.set_level(logging.INFO)
    logging.getLogger().addHandler(caplog.handler)
    async with asyncio.timeout(10):
        assert (await client.head("/stream")).status_code == 200
        assert (await client.head("/broken")).status_code == 500
    [line] = [r.msg for r in caplog.records if r.name.endswith("middleware.unhandled")]
    assert isinstance(line, dict)
    told = (line["event"], line["method"], line["path"])
    assert told == ("unhandled error", "HEAD", "/broken")


async def test_allow_lists_head_wherever_get_is_allowed(client: httpx2.AsyncClient) -> None:
    reply = await client.delete("/health/live")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD")
    reply = await client.head("/api/v1/auth/register")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "gzip, identity", "made-up"])
async def test_unsupported_content_encoding_is_refused_with_the_accepted_ones(
    client: httpx2.AsyncClient, coding: str
) -> None:
    reply = await client.post(
        "/api/v1/auth/register",
        content=gzip.compress(b"{}"),
        headers={"content-type": "application/json", "content-encoding": coding},
    )
    assert reply.status_code == 415
    assert reply.headers["accept-encoding"] == "identity"
    assert "Content-Encoding" in reply.json()["detail"]


async def test_identity_is_accepted_as_no_encoding(client: httpx2.AsyncClient) -> None:
    reply = await client.post(
        "/api/v1/auth/register", json={}, headers={"content-encoding": "identity"}
    )
    assert reply.status_code == 422


@pytest.mark.parametrize(
    ("path", "media_type", "taken"),
    [
        ("/api/v1/auth/register", "text/plain", "application/json"),
        ("/api/v1/auth/register", "application/x-www-form-urlencoded", "application/json"),
        ("/api/v1/auth/register", "", "application/json"),
        ("/api/v1/auth/register", "application/xml", "application/json"),
        ("/api/v1/auth/login", "application/json", "application/x-www-form-urlencoded"),
        ("/api/v1/auth/login", "text/plain", "application/x-www-form-urlencoded"),
    ],
)
async def test_unsupported_media_type_is_refused_with_the_accepted_ones(
    client: httpx2.AsyncClient, path: str, media_type: str, taken: str
) -> None:
    reply = await client.post(
        path, content=b'{"email": "a@example.com"}', headers={"content-type": media_type}
    )
    assert reply.status_code == 415, reply.text
    assert taken in reply.json()["detail"]


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "application/x+json"])
async def test_all_json_media_types_are_accepted(
    client: httpx2.AsyncClient, media_type: str
) -> None:
    reply = await client.post(
        "/api/v1/auth/register", content=b"{}", headers={"content-type": media_type}
    )
    assert reply.status_code == 422


async def test_missing_content_is_invalid_for_any_media_type(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/api/v1/auth/register")).status_code == 422


def test_cross_origin_pages_may_use_every_documented_header(
    app: FastAPI,
) -> None:
    methods = [
        operation
        for item in app.openapi()["paths"].values()
        for name, operation in item.items()
        if name in {"get", "post", "put", "patch", "delete"}
    ]
    asked = {
        parameter["name"].lower()
        for operation in methods
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "header"
    }
    told = {
        name.lower()
        for operation in methods
        for reply in operation["responses"].values()
        for name in reply.get("headers", {})
    }
    assert {"if-none-match", "idempotency-key", "last-event-id"} <= asked
    assert asked <= {name.lower() for name in REQUEST_HEADERS}
    assert told - _SAFE_REPLY <= {name.lower() for name in REPLY_HEADERS}


@pytest.mark.parametrize(
    "header", [*REQUEST_HEADERS, "if-match, x-csrf-token, traceparent", "baggage, sentry-trace"]
)
async def test_preflight_allows_each_header(client: httpx2.AsyncClient, header: str) -> None:
    reply = await client.options(
        "/api/v1/jobs",
        headers={
            "origin": "https://app.example.com",
            "access-control-request-method": "PATCH",
            "access-control-request-headers": header.lower(),
        },
    )
    assert reply.status_code == 200, reply.text


async def test_documentation_loads_only_from_its_own_origin(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "//" not in page.text.replace("<!doctype html>", "")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon-32x32.png"):
        assert f"docs/{name}" in page.text
        reply = await client.get(f"/docs/{name}")
        assert (reply.status_code, bool(reply.content)) == (200, True)
    style = await client.get("/docs/swagger-ui.css")
    tag = style.headers["etag"]
    # A proxy that compresses turns the tag into a weak one (RFC 9110, 8.8.3.3).
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await client.get("/docs/swagger-ui.css", headers={"if-none-match": known})
        assert (again.status_code, again.headers["etag"], again.content) == (304, tag, b"")
    other = await client.get("/docs/swagger-ui.css", headers={"if-none-match": '"other"'})
    assert (other.status_code, bool(other.content)) == (200, True)
    assert (await client.get("/docs/other.js")).status_code == 404


@pytest.mark.parametrize("prefix", ["/shop", "/shop/api", "/api"])
async def test_application_is_served_below_a_prefix(settings: Settings, prefix: str) -> None:
    api = settings.api.model_copy(update={"path_prefix": prefix})
    async with calling(create_app(settings.model_copy(update={"api": api}))) as client:
        for path in (prefix, ""):
            assert (await client.get(f"{path}/health/live")).status_code == 200
            assert (await client.get(f"{path}/docs")).status_code == 200
            described = (await client.get(f"{path}/openapi.json")).json()
            assert described["servers"] == [{"url": prefix}]
            flows = described["components"]["securitySchemes"]["password"]["flows"]
            assert flows["password"]["tokenUrl"] == f"{prefix}/api/v1/auth/login"
            assert (await client.get(f"{path}/api/v1/users/me")).status_code == 401
            assert (await client.get(f"{path}/nowhere")).status_code == 404


async def test_urls_in_replies_have_the_prefix() -> None:
    from fastapi_base.api.middleware.path_prefix import PathPrefixMiddleware

    links = b'</api/v1/jobs?a=</b>>; rel="first", </api/v1/jobs?cursor=x>; rel="next"'
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (scope["path"], scope["raw_path"]) == ("/api/v1/jobs", b"/api/v1/jobs")
        headers = [(b"location", b"/api/v1/jobs/1"), (b"Link", links), (b"etag", b"/x")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/shop/api/v1/jobs", "raw_path": b"/shop/api/v1/jobs"}
    await PathPrefixMiddleware(app, prefix="/shop")(scope, None, send)  # type: ignore[arg-type]
    headers = dict(sent[0]["headers"])
    assert headers[b"location"] == b"/shop/api/v1/jobs/1"
    assert headers[b"Link"].count(b"</shop/api/v1/jobs") == 2
    assert headers[b"etag"] == b"/x"
