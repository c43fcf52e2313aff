"""Plans answer as FastAPI does, and every route that can have a plan has one."""

import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import fastapi
import httpx2
import pytest
import starlette
import structlog
from fastapi import (
    Body,
    Depends,
    FastAPI,
    Form,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
)
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, APIRouter, iter_route_contexts
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from structlog.testing import capture_logs
from structlog.typing import EventDict

from fastapi_base.api.routing import dispatch
from fastapi_base.api.routing.dispatch import (
    TESTED_FASTAPI,
    TESTED_STARLETTE,
    DispatchMiddleware,
    Table,
    planner,
)
from fastapi_base.api.routing.plans import NoPlan, Plan, plan
from fastapi_base.core.config import Settings
from tests.modes import plans_are_on, served_by_plans

pytestmark = pytest.mark.anyio

_JSON = "application/json"


class Thing(BaseModel):
    name: str
    size: int = 1


class Secretive(Thing):
    secret: str = "hidden"


@dataclass
class Filter:
    word: str = "none"
    most: Annotated[int, Query(le=5)] = 1

    @property
    def text(self) -> str:
        return f"{self.word} {self.most}"


calls: list[str] = []


def made_anew() -> int:
    calls.append("made")
    return len(calls)


async def counted() -> str:
    calls.append("counted")
    return "once"


async def again(value: Annotated[str, Depends(counted)]) -> str:
    return value


async def unit() -> AsyncIterator[str]:
    calls.append("begin")
    try:
        yield "unit"
    except ValueError:
        calls.append("roll back")
        raise
    calls.append("commit")


Unit = Annotated[str, Depends(unit, scope="function")]


async def refusing(request: Request) -> None:
    if "x-refuse" in request.headers:
        raise HTTPException(403, "no", headers={"X-Why": "so"})


router = APIRouter(prefix="/v1", dependencies=[Depends(refusing)])


@router.get("/things/{number}")
async def numbered(number: int, extra: Annotated[str | None, Header()] = None) -> dict[str, Any]:
    return {"number": number, "extra": extra}


@router.get("/things/latest")
async def hidden_by_numbered() -> str:
    return "never"


@router.get("/fixed")
async def fixed(chosen: Annotated[Filter, Depends()]) -> str:
    return chosen.text


@router.get("/{anything}")
async def anything(anything: str) -> str:
    return anything


@router.post("/things", status_code=201)
async def create(thing: Thing, response: Response) -> Thing:
    response.headers["Location"] = f"/v1/things/{thing.size}"
    return Secretive(name=thing.name, size=thing.size)


@router.post("/pairs")
async def pairs(one: Annotated[int, Body()], two: Annotated[int, Body()]) -> list[int]:
    return [one, two]


@router.put("/things/{number}", status_code=204)
async def replace(number: int) -> None:
    assert number


@router.get("/things/{number}/parts")
async def twice(
    one: Annotated[str, Depends(counted)], two: Annotated[str, Depends(again)], unit: Unit
) -> list[str]:
    calls.append("route")
    return [one, two, unit]


@router.delete("/things/{number}")
async def failing(number: int, unit: Unit) -> None:
    raise ValueError(unit)


@router.get("/a/b/c")
async def accepted(response: Response) -> dict[str, int]:
    response.status_code = 202
    return {"a": 1}


@router.get("/a/b/defaults")
async def defaults(
    made: Annotated[int, Query(default_factory=made_anew)],
    needed: str,
    many: Annotated[list[str] | None, Query(alias="m")] = None,
    listed: Annotated[list[str], Query()] = ["a"],  # noqa: B006
    checked: Annotated[int, Query(validate_default=True)] = "7",  # type: ignore[assignment]
    x_note: Annotated[str, Header()] = "none",
) -> list[Any]:
    listed.append("b")
    return [made, needed, many, listed, checked, x_note]


@router.get("/a/b/plain")
async def plain() -> Response:
    return PlainTextResponse("plain", headers={"x-own": "1"})


@router.get("/a/b/wrong")
async def wrong() -> Thing:
    return {"name": 1}  # type: ignore[return-value]


@router.get("/a/b/thread")
def thread() -> str:
    return "thread"


@router.post("/a/b/form")
async def form(word: Annotated[str, Form()]) -> str:
    return word


@router.get("/files/{path:path}")
async def files(path: str) -> str:
    return path


@router.get("/files/later")
async def hidden_by_files() -> str:
    return "never"


async def on_value_error(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"refused: {error}", 409)


def build(*middleware: Middleware, provider: TracerProvider | None = None) -> FastAPI:
    app = FastAPI(
        middleware=middleware,
        exception_handlers={ValueError: on_value_error},
        telemetry={
            "tracing": provider is not None,
            "tracer_provider": provider,
            "operation_spans": False,
        },
    )
    app.include_router(router)
    return app


JSON = {"content-type": "application/json"}


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


async def test_all_routes_except_forms_and_streams_have_plans(app: FastAPI) -> None:
    """If a new route fails here, one of its dependencies is a plain function, not a coroutine."""
    without = set()
    for context in iter_route_contexts(app.routes):
        if hasattr(context, "dependant"):
            try:
                Plan(context)
            except NoPlan:
                without.add(f"{min(context.methods or ())} {context.path}")
    assert without == {
        "POST /api/v1/auth/login",
        "GET /api/v1/items/export",  # slice: items
        "GET /api/v1/users/me/exports/{export_id}",
        "GET /api/v1/jobs/{job_id}/events",
    }


def test_plans_support_the_locked_versions() -> None:
    # After an upgrade of either: run the API tests, then name the new version there.
    assert fastapi.__version__ == TESTED_FASTAPI
    assert starlette.__version__ == TESTED_STARLETTE
    assert planner(enabled=True) is plan


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EventDict]]:
    """What the module logs. A new logger, since one that was used before keeps its processors."""
    monkeypatch.setattr(dispatch, "log", structlog.stdlib.get_logger("dispatch"))
    with capture_logs() as lines:
        yield lines


def test_unsupported_fastapi_version_disables_plans(
    monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    monkeypatch.setattr(dispatch, "TESTED_FASTAPI", "0.1.0")
    assert planner(enabled=True) is None
    (line,) = logged
    assert line["event"].startswith("routes are served without plans")
    assert line["reason"] == f"FastAPI {fastapi.__version__} is not the tested 0.1.0"


def test_unsupported_starlette_version_disables_plans(
    monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    monkeypatch.setattr(dispatch, "TESTED_STARLETTE", "1.0.0")
    assert planner(enabled=True) is None
    assert logged[0]["reason"] == f"Starlette {starlette.__version__} is not the tested 1.0.0"


def test_setting_disables_plans(settings: Settings, logged: list[EventDict]) -> None:
    api = settings.api.model_copy(update={"plans": False})
    assert planner(enabled=api.plans) is None
    assert [(line["event"], line["reason"]) for line in logged] == [
        ("routes are served without plans", "API_PLANS is false")
    ]


async def test_test_run_uses_the_mode_of_its_environment(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await served_by_plans(client, monkeypatch) == plans_are_on()


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
