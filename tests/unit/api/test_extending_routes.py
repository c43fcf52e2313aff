"""Routes of every kind, including routes changed later, are found with and without plans."""

from typing import Any

import httpx2
import pytest
from fastapi import (
    APIRouter,
    Depends,
    FastAPI,
    HTTPException,
    Request,
    Response,
    WebSocket,
)
from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.unit.api.comparing import alike, gets

pytestmark = pytest.mark.anyio


async def test_mounts_hosts_and_other_routes_are_matched_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class AnyText(Convertor[str]):
        regex = ".+"

        def convert(self, value: str) -> str:
            return value

        def to_string(self, value: str) -> str:
            return value

    register_url_convertor("anytext", AnyText())

    async def other(request: Request) -> Response:
        return PlainTextResponse(f"other: {request.url.path}")

    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware)
        sub = FastAPI()

        @sub.get("/inside")
        async def inside(request: Request) -> str:
            return str(request.url_for("inside"))

        @app.get("/first/{name}")
        async def first(name: str, request: Request) -> str:
            return str(request.url_for("first", name="a"))

        app.mount("/v1", sub)
        app.router.routes.append(Host("other.test", app=Route("/x", other)))
        app.router.routes.append(Route("/literal", other))
        app.router.routes.append(Mount("/v2/{tenant}", routes=[Route("/a", other)]))

        @app.get("/v1/inside")
        async def hidden() -> str:
            return "never"

        @app.get("/{one}/inside")
        async def partly_hidden(one: str) -> str:
            return one

        @app.get("/v2/things/a")
        async def hidden_too() -> str:
            return "never"

        @app.get("/literal")
        async def hidden_as_well() -> str:
            return "never"

        @app.get("/free")
        async def free() -> str:
            return "free"

        @app.get("/{name}")
        async def named(name: str) -> str:
            return f"named {name!r}"

        @app.websocket("/socket")
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.close()

        @app.get("/socket")
        async def beside_socket() -> str:
            return "http"

        @app.get("/all/{rest:anytext}")
        async def everything(rest: str) -> str:
            return rest

        @app.get("/all/a/b")
        async def hidden_by_everything() -> str:
            return "never"

        return app

    paths = (
        "/first/b",
        "/v1/inside",
        "/v3/inside",
        "/v1/missing",
        "/v2/things/a",
        "/literal",
        "/free",
        "/free%0A",
        "/else",
        "/socket",
        "/all/a/b",
    )
    noted = await alike(build, gets(*paths), monkeypatch, planned=5)
    texts = {path: text for path, _, text in noted}
    assert texts["/v1/inside"] == '"http://test/v1/inside"'
    assert texts["/literal"] == "other: /literal"
    assert texts["/free%0A"] == '"free"'
    assert texts["/all/a/b"] == '"a/b"'


async def test_route_changes_apply_from_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse() -> None:
        raise HTTPException(403, "no")

    async def old() -> str:
        return "old"

    async def new() -> str:
        return "new"

    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware)
        router = APIRouter(prefix="/in")
        router.add_api_route("/a", old)
        app.include_router(router)
        app.add_api_route("/a", old)
        app.add_api_route("/b", old)
        app.state.router = router
        return app

    async def acts(app: FastAPI, client: httpx2.AsyncClient, noted: list[Any]) -> None:
        ask = gets("/a", "/b", "/in/a", "/in/b")
        await ask(app, client, noted)
        # Replaced by an equal route that refuses.
        routes = app.router.routes
        place = next(n for n, r in enumerate(routes) if getattr(r, "path", "") == "/a")
        routes[place] = APIRoute("/a", old, dependencies=[Depends(refuse)])
        await ask(app, client, noted)
        routes.insert(0, APIRoute("/a", new))
        app.state.router.add_api_route("/b", new)
        await ask(app, client, noted)
        del routes[0]
        routes[:] = [route for route in routes if getattr(route, "path", "") != "/b"]
        await ask(app, client, noted)
        app.router.routes = []
        await ask(app, client, noted)

    noted = await alike(build, acts, monkeypatch, planned=13)
    assert [status for path, status, _ in noted if path == "/a"] == [200, 403, 200, 403, 404]
    assert [status for path, status, _ in noted if path == "/in/b"] == [404, 404, 200, 200, 404]


async def test_dependencies_added_to_a_route_later_are_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from fastapi.dependencies.utils import get_parameterless_sub_dependant

    async def refuse() -> None:
        raise HTTPException(403, "no")

    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware)

        @app.get("/a")
        async def a() -> str:
            return "a"

        @app.get("/b")
        async def b() -> str:
            return "b"

        return app

    async def replaced(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("replaced")(scope, receive, send)

    async def acts(app: FastAPI, client: httpx2.AsyncClient, noted: list[Any]) -> None:
        ask = gets("/a", "/b")
        await ask(app, client, noted)
        for route in app.router.routes:
            if isinstance(route, APIRoute) and route.path == "/a":
                dependency = get_parameterless_sub_dependant(
                    depends=Depends(refuse), path=route.path_format
                )
                route.dependant.dependencies.insert(0, dependency)
            if isinstance(route, APIRoute) and route.path == "/b":
                route.app = replaced
        await ask(app, client, noted)

    noted = await alike(build, acts, monkeypatch, planned=2)
    assert [text for _, _, text in noted[2:]] == ['{"detail":"no"}', "replaced"]


async def test_no_middleware_or_router_is_bypassed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Marks:
        def __init__(self, app: ASGIApp, mark: str) -> None:
            self.app = app
            self.mark = mark

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                scope["state"] = {"marks": [*scope.get("state", {}).get("marks", []), self.mark]}
            await self.app(scope, receive, send)

    class Refusing(APIRouter):
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            if b"x-pass" not in dict(scope["headers"]):
                await PlainTextResponse("not here", 403)(scope, receive, send)
                return
            await super().handle(scope, receive, send)

    def with_middleware(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware)
        app.add_middleware(Marks, mark="added")
        app.user_middleware.append(Middleware(Marks, mark="innermost"))

        @app.get("/marks")
        async def marks(request: Request) -> list[str]:
            found: list[str] = request.state.marks
            return found

        return app

    def with_router(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware)
        router = Refusing(prefix="/own")

        @router.get("/a")
        async def a() -> str:
            return "a"

        app.include_router(router)
        return app

    def with_stack(middleware: list[Middleware]) -> FastAPI:
        app = with_middleware(middleware)
        app.user_middleware.pop()
        app.router.middleware_stack = Marks(app.router.middleware_stack, "of the router")
        return app

    noted = await alike(with_middleware, gets("/marks"), monkeypatch, planned=0)
    assert noted == [("/marks", 200, '["added","innermost"]')]
    noted = await alike(with_router, gets("/own/a"), monkeypatch, planned=0)
    assert noted == [("/own/a", 403, "not here")]
    noted = await alike(with_stack, gets("/marks"), monkeypatch, planned=0)
    assert noted == [("/marks", 200, '["added","of the router"]')]
