"""Every error is a problem document."""

from collections.abc import Iterator

import httpx2
import pytest
from fastapi import FastAPI

from fastapi_base.api.errors import MEDIA_TYPE, STATUS, status_of
from fastapi_base.core.config import AppSettings, Settings
from fastapi_base.core.errors import DomainError
from fastapi_base.main import create_app


def kinds(base: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def problem(reply: httpx2.Response, status: int, code: str) -> dict[str, object]:
    """The problem document, after checking what all problem documents have in common."""
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == MEDIA_TYPE
    body: dict[str, object] = reply.json()
    assert body["status"] == status
    assert body["type"] == f"urn:fastapi-base:{code}"
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == reply.request.url.path
    assert body["request_id"] == reply.headers["x-request-id"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    return body


@pytest.mark.parametrize("kind", list(kinds()))
def test_every_domain_error_has_a_status(kind: type[DomainError]) -> None:
    assert 400 <= status_of(kind) < 600


def test_codes_are_unique() -> None:
    # A class that inherits from two of them is visited twice; one without a code uses its parent's.
    codes = [kind.code for kind in set(kinds()) if "code" in vars(kind)]
    assert len(codes) == len(set(codes))
    assert DomainError not in STATUS


@pytest.mark.anyio
async def test_unknown_path(client: httpx2.AsyncClient) -> None:
    problem(await client.get("/nowhere"), 404, "not-found")


@pytest.mark.anyio
async def test_wrong_method(client: httpx2.AsyncClient) -> None:
    reply = await client.put("/health/live")
    problem(reply, 405, "method-not-allowed")
    assert reply.headers["allow"] == "GET, HEAD"


@pytest.mark.anyio
async def test_invalid_request_names_the_location_and_echoes_no_input(
    client: httpx2.AsyncClient,
) -> None:
    reply = await client.post(
        "/api/v1/auth/register", json={"email": "nobody", "password": "hunter2"}
    )
    body = problem(reply, 422, "invalid-request")
    errors = body["errors"]
    assert isinstance(errors, list)
    assert [error["location"] for error in errors] == [["body", "email"], ["body", "password"]]
    assert "hunter2" not in reply.text


@pytest.mark.anyio
async def test_body_that_is_not_json(client: httpx2.AsyncClient) -> None:
    reply = await client.post(
        "/api/v1/auth/register", content=b"{", headers={"content-type": "application/json"}
    )
    problem(reply, 422, "invalid-request")


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/api/v1/users/me", "/api/v1/jobs/42"])
async def test_no_token(client: httpx2.AsyncClient, path: str) -> None:
    reply = await client.get(path)
    problem(reply, 401, "not-authenticated")
    assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.anyio
async def test_unavailable_servers(client: httpx2.AsyncClient) -> None:
    reply = await client.post(
        "/api/v1/auth/login", data={"username": "ada@example.com", "password": "x"}
    )
    problem(reply, 503, "unavailable")
    reply = await client.post(
        "/api/v1/auth/register",
        json={"email": "ada@example.com", "password": "correct horse battery"},
    )
    problem(reply, 503, "unavailable")
    assert int(reply.headers["retry-after"]) > 0


@pytest.mark.anyio
async def test_readiness_failure_names_the_check_but_no_address(client: httpx2.AsyncClient) -> None:
    reply = await client.get("/health/ready")
    body = problem(reply, 503, "not-ready")
    checks = body["checks"]
    assert isinstance(checks, dict)
    assert {name: check["ok"] for name, check in checks.items()} == {
        "database": False,
        "redis": False,
    }
    assert "127.0.0.1" not in reply.text
    assert (await client.get("/health/live")).json() == {"status": "ok"}


@pytest.mark.anyio
@pytest.mark.parametrize("debug", [False, True])
async def test_unexpected_error(settings: Settings, debug: bool) -> None:
    app = create_app(settings.model_copy(update={"app": AppSettings(debug=debug)}))

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a detail for the log")

    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        reply = await client.get("/broken", headers={"origin": "https://app.example.com"})
    problem(reply, 500, "internal-error")
    assert ("a detail for the log" in reply.text) is debug
    assert reply.headers["access-control-allow-origin"] == "https://app.example.com"


@pytest.mark.anyio
async def test_unexpected_error_during_a_reply_closes_the_connection(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    async def half(scope: object, receive: object, send: object) -> None:
        assert callable(send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("too late for a problem document")

    app.mount("/half", half)
    with pytest.raises(RuntimeError, match="too late"):
        await client.get("/half/")


@pytest.mark.anyio
async def test_allow_lists_all_methods_of_a_path(client: httpx2.AsyncClient) -> None:
    reply = await client.patch("/api/v1/sessions")
    assert reply.status_code == 405
    assert reply.headers["allow"] == "DELETE, GET, HEAD"
