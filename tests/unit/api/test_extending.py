"""A team's own dependencies, bodies and replies work with and without plans.

Each test builds the application with and without plans and compares replies and side effects.
"""

import threading
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import (
    APIRouter,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Security,
)
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, SecurityScopes
from pydantic import BaseModel
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse

from tests.unit.api.comparing import alike, branch, gets, leaf

pytestmark = pytest.mark.anyio


key = APIKeyHeader(name="x-key", auto_error=False)


async def guarded(scopes: SecurityScopes, given: Annotated[str | None, Security(key)]) -> str:
    return f"{given} {scopes.scopes}"


async def test_nested_and_security_dependencies_can_be_overridden_at_any_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware)

        @app.get("/nested")
        async def nested(value: Annotated[str, Depends(branch)]) -> str:
            return value

        @app.get("/guarded")
        async def secure(value: Annotated[str, Security(guarded, scopes=["a"])]) -> str:
            return value

        @app.get("/keyed")
        async def keyed(value: Annotated[str | None, Security(key)]) -> str | None:
            return value

        return app

    async def acts(app: FastAPI, client: httpx2.AsyncClient, noted: list[Any]) -> None:
        all_paths = gets("/nested", "/guarded", "/keyed", **{"x-key": "given"})
        await all_paths(app, client, noted)
        app.dependency_overrides[leaf] = lambda: "another"
        app.dependency_overrides[key] = lambda: "override"
        await all_paths(app, client, noted)
        del app.dependency_overrides[leaf]
        await all_paths(app, client, noted)
        app.dependency_overrides = {}
        await all_paths(app, client, noted)

    noted = await alike(build, acts, monkeypatch, planned=4)
    assert [text for path, _, text in noted if path == "/nested"] == [
        '"branch of leaf"',
        '"branch of another"',
        '"branch of leaf"',
        '"branch of leaf"',
    ]


async def test_included_routers_keep_dependencies_and_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(x_pass: Annotated[str, Header()]) -> None:
        if x_pass != "yes":
            raise HTTPException(403, "no pass")

    class Thing(BaseModel):
        name: str = "thing"
        secret: str = "hidden"

    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware)
        inner = APIRouter(prefix="/inner", dependencies=[Depends(refuse)])
        outer = APIRouter(prefix="/outer", default_response_class=PlainTextResponse)

        @inner.get("/plain")
        async def plain() -> str:
            return "plain"

        @inner.get("/excluded", response_model=Thing, response_model_exclude={"secret"})
        async def excluded() -> Thing:
            return Thing()

        @inner.get("/json", response_class=JSONResponse)
        async def as_json() -> list[int]:
            return [1]

        outer.include_router(inner)
        app.include_router(outer, dependencies=[Depends(leaf)])
        app.include_router(inner, prefix="/again", callbacks=APIRouter().routes)
        return app

    async def acts(app: FastAPI, client: httpx2.AsyncClient, noted: list[Any]) -> None:
        for prefix in ("/outer/inner", "/again/inner"):
            for given in ({}, {"x-pass": "no"}, {"x-pass": "yes"}):
                await gets(f"{prefix}/plain", f"{prefix}/excluded", f"{prefix}/json", **given)(
                    app, client, noted
                )

    # Those of /again/inner/plain: the other routes have a reply class or exclude members.
    noted = await alike(build, acts, monkeypatch, planned=3)
    assert ("/again/inner/plain", 200, '"plain"') in noted


@pytest.mark.parametrize("limited", ["application", "router"])
async def test_body_limits_apply(monkeypatch: pytest.MonkeyPatch, limited: str) -> None:
    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware, max_body_size=8 if limited == "application" else None)
        router = APIRouter(max_body_size=8 if limited == "router" else None)

        @router.post("/body")
        async def body(thing: dict[str, str]) -> dict[str, str]:
            return thing

        app.include_router(router)
        return app

    async def parts() -> AsyncIterator[bytes]:
        yield b'{"a": '
        yield b'"more than eight"}'

    async def acts(_: FastAPI, client: httpx2.AsyncClient, noted: list[Any]) -> None:
        headers = {"content-type": "application/json"}
        for content in (b'{"a":""}', b'{"a": "more than eight"}', parts()):
            reply = await client.post("/body", content=content, headers=headers)
            noted.append((reply.status_code, reply.text))

    noted = await alike(build, acts, monkeypatch, planned=0)
    assert [status for status, _ in noted] == [200, 413, 413]


async def test_blocking_dependency_classes_run_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reads:
        def __init__(self, name: str = "none") -> None:
            self.main = threading.current_thread() is threading.main_thread()

    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware)

        @app.get("/class")
        async def of_class(found: Annotated[Reads, Depends()]) -> bool:
            return found.main

        @app.get("/plain")
        def plain() -> bool:
            return threading.current_thread() is threading.main_thread()

        return app

    noted = await alike(build, gets("/class", "/plain"), monkeypatch, planned=0)
    assert [text for _, _, text in noted] == ["false", "false"]


async def test_first_content_type_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware)

        @app.post("/body")
        async def body(thing: dict[str, int]) -> dict[str, int]:
            return thing

        return app

    async def acts(_: FastAPI, client: httpx2.AsyncClient, noted: list[Any]) -> None:
        kinds = ["text/plain", "application/json"]
        for given in (kinds, kinds[::-1]):
            headers = [("content-type", kind) for kind in given]
            reply = await client.post("/body", content=b'{"a": 1}', headers=headers)
            noted.append((reply.status_code, reply.text))

    noted = await alike(build, acts, monkeypatch, planned=1)
    assert [status for status, _ in noted] == [422, 200]


async def test_router_of_a_route_may_override_dependencies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Provider:
        def __init__(self) -> None:
            self.dependency_overrides: dict[Any, Any] = {leaf: lambda: "the provider's"}

    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware)
        route = APIRoute("/nested", _nested, dependency_overrides_provider=Provider())
        app.router.routes.append(route)
        return app

    noted = await alike(build, gets("/nested"), monkeypatch, planned=0)
    assert noted[0][2] == '"branch of the provider\'s"'


async def _nested(value: Annotated[str, Depends(branch)]) -> str:
    return value
