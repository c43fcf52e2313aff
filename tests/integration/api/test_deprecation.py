"""Deprecated routes tell their callers, in both modes of routing, and are counted by caller."""

import json
import logging
from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Query, Response
from fastapi.responses import PlainTextResponse

from fastapi_base.api.deps import AnyPrincipal, CurrentUser, Requires
from fastapi_base.core.deprecation import deprecated
from fastapi_base.core.errors import NotFound
from fastapi_base.core.observability.metrics import REGISTRY
from fastapi_base.core.security.scopes import Scope
from tests.calling import calling
from tests.integration.accounts import authorization, new_user

pytestmark = pytest.mark.anyio

PATH = "/deprecated"
OLD = deprecated(since=date(2026, 12, 1), sunset=date(2027, 6, 1), link="/docs")
router = APIRouter(prefix=PATH)


@router.get("/open")
@OLD
async def read_open(
    size: Annotated[int, Query(), deprecated(since=date(2026, 12, 1))] = 1,
) -> dict[str, int]:
    return {"size": size}


@router.get("/mine/{name}")
@OLD
async def read_mine(user: CurrentUser, name: str) -> str:
    return user.email


@router.get("/any/{name}")
@OLD
async def read_any(
    principal: Annotated[AnyPrincipal, Requires(Scope.PROFILE_READ)], name: str
) -> str:
    return principal.user.email


@router.get("/missing")
@OLD
async def read_missing() -> None:
    raise NotFound


@router.get("/broken")
@OLD
async def read_broken() -> None:
    raise ZeroDivisionError


@router.get("/plain")
@OLD
async def read_plain() -> Response:
    # FastAPI alone serves this.
    return PlainTextResponse("plain", headers={"Link": '</next>; rel="next"'})


@router.get("/present")
async def read_present() -> str:
    return "present"


@pytest.fixture
def deprecating(own_app: FastAPI) -> FastAPI:
    own_app.include_router(router)
    own_app.openapi_schema = None
    return own_app


@pytest.fixture
async def caller(deprecating: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with calling(deprecating) as client:
        yield client


def counted(route: str, caller: str) -> float:
    labels = {"method": "GET", "route": PATH + route, "caller": caller}
    return REGISTRY.get_sample_value("http_deprecated_requests_total", labels) or 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/open", 200),
        ("/open?size=x", 422),
        ("/mine/x", 401),
        ("/missing", 404),
        ("/plain", 200),
    ],
)
async def test_every_response_says_so(caller: httpx2.AsyncClient, path: str, status: int) -> None:
    reply = await caller.get(PATH + path)
    assert reply.status_code == status
    assert reply.headers["deprecation"] == "@1796083200"
    assert reply.headers["sunset"] == "Tue, 01 Jun 2027 00:00:00 GMT"
    links = reply.headers.get_list("link")
    assert links[-2:] == ['</docs>; rel="deprecation"', '</docs>; rel="sunset"']
    assert len(links) == (3 if path == "/plain" else 2)


async def test_an_unhandled_error_says_so(deprecating: FastAPI) -> None:
    async with deprecating.router.lifespan_context(deprecating):
        transport = httpx2.ASGITransport(app=deprecating, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            reply = await client.get(f"{PATH}/broken")
    assert reply.status_code == 500
    assert "sunset" in reply.headers


async def test_other_routes_say_nothing(caller: httpx2.AsyncClient) -> None:
    for path in (f"{PATH}/present", f"{PATH}/unknown", "/health/live"):
        reply = await caller.get(path)
        assert not {"deprecation", "sunset", "link"} & set(reply.headers)


async def test_requests_are_counted_and_logged_by_caller(
    caller: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    ada = await new_user(caller, "ada@example.com")
    user_id = (await caller.get("/api/v1/users/me", headers=ada)).json()["id"]
    body = {"name": "program", "scopes": ["profile:read"]}
    created = (await caller.post("/api/v1/api-keys", json=body, headers=ada)).json()
    key = authorization(created["key"])
    before = {kind: counted("/any/{name}", kind) for kind in ("anonymous", "session", "api-key")}
    mine = counted("/mine/{name}", "session")
    caplog.handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger().addHandler(caplog.handler)
    for headers in ({}, ada, key, key):
        await caller.get(f"{PATH}/any/x", headers=headers)
    await caller.get(f"{PATH}/mine/y", headers=ada)
    now = {kind: counted("/any/{name}", kind) - before[kind] for kind in before}
    assert now == {"anonymous": 1, "session": 1, "api-key": 2}
    assert counted("/mine/{name}", "session") == mine + 1
    logging.getLogger().removeHandler(caplog.handler)
    said = [line for line in caplog.messages if "deprecated route" in line]
    assert len(said) == 5
    assert "anonymous" in said[0]
    assert "user_id" not in said[0]
    assert user_id in said[1]
    assert created["id"] in said[2]


async def test_the_description_says_so(deprecating: FastAPI) -> None:
    paths = json.loads(json.dumps(deprecating.openapi()))["paths"]
    operation = paths[f"{PATH}/any/{{name}}"]["get"]
    assert operation["deprecated"] is True
    assert operation["x-deprecated-since"] == "2026-12-01"
    assert operation["x-sunset"] == "2027-06-01"
    assert operation["description"].endswith(
        "Deprecated since 2026-12-01; can be removed from 2027-06-01 on. See </docs>."
    )
    assert {"Deprecation", "Sunset", "Link"} <= set(operation["responses"]["200"]["headers"])
    assert {"Deprecation", "Sunset", "Link"} <= set(operation["responses"]["429"]["headers"])
    (size,) = paths[f"{PATH}/open"]["get"]["parameters"]
    assert size["deprecated"] is True
    assert "deprecated" not in size["schema"]
    assert "deprecated" not in paths[f"{PATH}/present"]["get"]
    # Responses of other operations do not share the headers.
    assert "Sunset" not in paths["/health/live"]["get"]["responses"]["200"].get("headers", {})
    me = paths["/api/v1/users/me"]["get"]["responses"]
    assert not any("Sunset" in reply.get("headers", {}) for reply in me.values())
