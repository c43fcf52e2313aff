"""Plans answer as FastAPI does."""

import threading
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import (
    Depends,
    FastAPI,
    HTTPException,
    Request,
    Response,
)
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, APIRouter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from fastapi_base.api.routing.dispatch import (
    DispatchMiddleware,
    Table,
)
from fastapi_base.api.routing.plans import Plan, plan
from tests.unit.api.planned import JSON, Thing, build, calls

pytestmark = pytest.mark.anyio
_JSON = "application/json"


@pytest.mark.parametrize(
    ("method", "path", "content", "headers"),
    [
        ("GET", "/v1/things/7", b"", {}),
        ("GET", "/v1/things/7", b"", {"extra": "more"}),
        ("GET", "/v1/things/seven", b"", {}),
        ("GET", "/v1/things/7", b"", {"x-refuse": "1"}),
        ("GET", "/v1/things/latest", b"", {}),
        ("HEAD", "/v1/things/7", b"", {}),
        ("PATCH", "/v1/things/7", b"", {}),
        ("GET", "/v1/things/7/", b"", {}),
        ("GET", "/v1/fixed", b"", {}),
        ("GET", "/v1/fixed?word=a&most=5", b"", {}),
        ("GET", "/v1/fixed?most=6", b"", {}),
        ("GET", "/v1/something", b"", {}),
        ("GET", "/nowhere/at/all", b"", {}),
        ("POST", "/v1/things", b'{"name": "a", "size": 3}', JSON),
        ("POST", "/v1/things", b'{"name": "a"}', {"content-type": "application/json; charset=x"}),
        ("POST", "/v1/things", b'{"name": "a"}', {"content-type": "application/merge+json"}),
        ("POST", "/v1/things", b'{"name": "a"}', {}),
        ("POST", "/v1/things", b'{"name": "a"}', {"content-type": "text/plain"}),
        ("POST", "/v1/things", b'{"name": ', JSON),
        ("POST", "/v1/things", b"\xff\xfe\xff", JSON),
        ("POST", "/v1/things", b'{"size": "large"}', JSON),
        ("POST", "/v1/things", b"null", JSON),
        ("POST", "/v1/things", b"", JSON),
        ("POST", "/v1/things", b"{}", {"x-refuse": "1", **JSON}),
        ("POST", "/v1/pairs", b'{"one": 1, "two": 2}', JSON),
        ("POST", "/v1/pairs", b'{"one": "x"}', JSON),
        ("PUT", "/v1/things/7", b"", {}),
        ("GET", "/v1/things/7/parts", b"", {}),
        ("DELETE", "/v1/things/7", b"", {}),
        ("GET", "/v1/a/b/c", b"", {}),
        ("GET", "/v1/a/b/plain", b"", {}),
        ("GET", "/v1/a/b/defaults", b"", {}),
        ("GET", "/v1/a/b/defaults?needed=", b"", {}),
        ("GET", "/v1/a/b/defaults?needed=1&m=1&m=2&listed=c&made=3&checked=4", b"", {}),
        ("GET", "/v1/a/b/defaults?needed=1&made=x&many=1", b"", {"X-Note": "t"}),
        ("GET", "/v1/a/b/defaults?made=x&checked=y", b"", {}),
        ("GET", "/v1/a/b/thread", b"", {}),
        ("POST", "/v1/a/b/form", b"word=a", {"content-type": "application/x-www-form-urlencoded"}),
        ("GET", "/v1/files/a/b", b"", {}),
        ("GET", "/v1/files/later", b"", {}),
    ],
    ids=str,
)
async def test_plans_answer_as_fastapi_does(
    method: str, path: str, content: bytes, headers: dict[str, str]
) -> None:
    seen = []
    for app in (build(), build(Middleware(DispatchMiddleware, table=Table(plan)))):
        calls.clear()
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            # The next request must not see a default that a request has changed.
            for _ in range(2):
                reply = await client.request(method, path, content=content, headers=headers)
        seen.append((reply.status_code, sorted(reply.headers.items()), reply.content, [*calls]))
    assert seen[1] == seen[0]


@pytest.mark.parametrize(
    "path", ["/v1/things/7", "/v1/things/seven", "/v1/fixed?word=a", "/v1/a/b/wrong", "/nowhere"]
)
async def test_plans_are_used_and_traced_like_fastapi_routes(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = []
    reply = Plan.reply

    async def noted(plan: Plan, request: Request) -> Response:
        planned.append(request.url.path)
        return await reply(plan, request)

    monkeypatch.setattr(Plan, "reply", noted)
    seen = []
    for middleware in ([], [Middleware(DispatchMiddleware, table=Table(plan))]):
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        app = build(*middleware, provider=provider)
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.get(path)
        (span,) = exporter.get_finished_spans()
        seen.append((span.name, span.status.status_code, dict(span.attributes or {})))
    assert seen[1] == seen[0]
    assert planned == ([] if path == "/nowhere" else [path.partition("?")[0]])


async def test_reply_that_violates_its_model_is_an_error() -> None:
    transport = httpx2.ASGITransport(app=build(Middleware(DispatchMiddleware, table=Table(plan))))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(Exception, match="1 validation error"):
            await client.get("/v1/a/b/wrong")


async def test_unit_of_work_is_committed_before_the_reply_is_sent() -> None:
    app = build(Middleware(DispatchMiddleware, table=Table(plan)))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        calls.clear()
        await client.get("/v1/things/7/parts")
        assert calls == ["counted", "begin", "route", "commit"]
        calls.clear()
        await client.delete("/v1/things/7")
        assert calls == ["begin", "roll back"]


def extended(*middleware: Middleware) -> FastAPI:
    """Typical extensions: a route class, exception handlers, a dependency to override."""

    class Marked(APIRoute):
        def get_route_handler(self) -> Any:
            original = super().get_route_handler()

            async def handler(request: Request) -> Response:
                reply = await original(request)
                reply.headers["x-route-class"] = "yes"
                return reply

            return handler

    async def number() -> int:
        return 1

    app = FastAPI(middleware=middleware)
    router = APIRouter(route_class=Marked)

    @router.get("/marked")
    async def marked() -> str:
        return "marked"

    @app.get("/number")
    async def read_number(value: Annotated[int, Depends(number)]) -> int:
        return value

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    @app.get("/broken")
    async def broken() -> None:
        raise KeyError("broken")

    @app.post("/things")
    async def add(thing: Thing) -> Thing:
        return thing

    @app.exception_handler(418)
    async def by_status(_: Request, error: HTTPException) -> Response:
        return PlainTextResponse(f"by status: {error.detail}", 418)

    @app.exception_handler(KeyError)
    def in_a_thread(_: Request, error: KeyError) -> Response:
        return PlainTextResponse(f"{threading.current_thread() is threading.main_thread()}", 500)

    @app.exception_handler(RequestValidationError)
    async def with_body(_: Request, error: RequestValidationError) -> Response:
        return PlainTextResponse(repr(error.body), 422)

    app.include_router(router)
    app.state.number = number
    return app


async def test_extensions_work_with_and_without_plans() -> None:
    seen = []
    for app in (extended(), extended(Middleware(DispatchMiddleware, table=Table(plan)))):
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            replies = [
                await client.get("/marked"),
                await client.get("/teapot"),
                await client.get("/broken"),
                await client.post("/things", json={"size": "many"}),
                await client.post("/things", content=b"{", headers={"content-type": _JSON}),
                await client.get("/number"),
            ]
            app.dependency_overrides[app.state.number] = lambda: 2
            replies.append(await client.get("/number"))
            app.dependency_overrides.clear()
            replies.append(await client.get("/number"))
        seen.append([(r.status_code, r.text, r.headers.get("x-route-class")) for r in replies])
    assert seen[0] == seen[1]
    assert seen[0][0] == (200, '"marked"', "yes")
    assert [text for _, text, _ in seen[0][1:3]] == ["by status: short and stout", "False"]
    assert [text for _, text, _ in seen[0][-3:]] == ["1", "2", "1"]
