"""Generator dependencies, errors and exception handlers work with and without plans."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    HTTPException,
    Query,
    Request,
    Response,
)
from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware
from starlette.responses import FileResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.unit.api.comparing import alike, gets

pytestmark = pytest.mark.anyio


async def test_generator_scope_decides_exit_before_or_after_the_reply(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted_by_apps: list[str] = []

    def generator(name: str) -> Any:
        async def opened() -> AsyncIterator[str]:
            try:
                yield name
            except KeyError:
                noted_by_apps.append(f"{name} failed")
                raise
            finally:
                noted_by_apps.append(f"{name} ends")

        return opened

    in_function, in_request = generator("function"), generator("request")

    class Noting:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    noted_by_apps.append("reply")
                await send(message)

            await self.app(scope, receive, noting)

    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=[Middleware(Noting), *middleware])

        @app.get("/function")
        async def function(
            name: Annotated[str, Depends(in_function, scope="function")], fail: bool = False
        ) -> str:
            if fail:
                raise KeyError(name)
            return name

        @app.get("/request")
        async def request(name: Annotated[str, Depends(in_request)], fail: bool = False) -> str:
            if fail:
                raise KeyError(name)
            return name

        return app

    async def acts(app: FastAPI, client: httpx2.AsyncClient, noted: list[Any]) -> None:
        noted_by_apps.clear()
        await gets("/function", "/function?fail=1", "/request", "/request?fail=1")(
            app, client, noted
        )
        noted.append([*noted_by_apps])

    noted = await alike(build, acts, monkeypatch, planned=2)
    assert noted[-1][:2] == ["function ends", "reply"]


async def test_generator_cleanup_is_shielded_from_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Impatient:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            with anyio.CancelScope() as limit:
                scope["app"].state.cancel = limit.cancel
                await self.app(scope, receive, send)
            if limit.cancelled_caught:
                await PlainTextResponse("late", 503)(scope, receive, send)

    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=[Middleware(Impatient), *middleware])
        app.state.ended = []

        async def opened(request: Request) -> AsyncIterator[None]:
            try:
                yield
            finally:
                # For example, a rollback that needs two round trips to the server.
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
                request.app.state.ended.append("rolled back")

        @app.get("/slow")
        async def slow(_: Annotated[None, Depends(opened, scope="function")]) -> None:
            app.state.cancel()
            await asyncio.Event().wait()

        return app

    async def acts(app: FastAPI, client: httpx2.AsyncClient, noted: list[Any]) -> None:
        await gets("/slow")(app, client, noted)
        noted.append(app.state.ended)

    noted = await alike(build, acts, monkeypatch, planned=1)
    assert noted[-1] == ["rolled back"]


async def test_background_tasks_and_own_responses_are_handled_alike(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: list[str] = []

    async def later(tasks: BackgroundTasks) -> None:
        tasks.add_task(done.append, "of a dependency")

    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware)

        @app.get("/task")
        async def task(tasks: BackgroundTasks, _: Annotated[None, Depends(later)]) -> str:
            tasks.add_task(done.append, "of the route")
            return "task"

        @app.get("/file")
        async def file() -> FileResponse:
            return FileResponse(tmp_path / "missing")

        @app.get("/reset", status_code=205)
        async def reset() -> None:
            pass

        @app.get("/said")
        async def said(response: Response) -> bool:
            response.headers["x-said"] = "yes"
            return response.status_code is None

        @app.exception_handler(RuntimeError)
        async def missing(_: Request, error: Exception) -> Response:
            return PlainTextResponse(str(error).replace(str(tmp_path), ""), 404)

        return app

    async def acts(app: FastAPI, client: httpx2.AsyncClient, noted: list[Any]) -> None:
        done.clear()
        await gets("/task", "/file", "/reset", "/said")(app, client, noted)
        noted.append([*done])

    noted = await alike(build, acts, monkeypatch, planned=3)
    assert noted[1][1] == 404
    assert noted[3][2] == "true"


class Callable500:
    """An exception handler that is a callable object."""

    async def __call__(self, request: Request, error: Exception) -> Response:
        return PlainTextResponse(f"object: {error}, {await request.body()!r}", 500)


async def test_all_kinds_of_exception_handlers_answer_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware)

        async def raising(request: Request, error: Exception) -> Response:
            raise HTTPException(418, f"from a handler: {error}")

        def in_thread(request: Request, error: Exception) -> Response:
            return PlainTextResponse(str(threading.current_thread() is threading.main_thread()))

        async def nothing(request: Request, error: Exception) -> None:
            return None

        async def last(request: Request, error: Exception) -> Response:
            return PlainTextResponse("last resort", 500)

        async def where(request: Request, error: RequestValidationError) -> Response:
            return PlainTextResponse(f"{error.endpoint_function} {error.endpoint_path}", 422)

        app.add_exception_handler(KeyError, raising)
        app.add_exception_handler(ZeroDivisionError, in_thread)
        app.add_exception_handler(LookupError, Callable500())
        app.add_exception_handler(TimeoutError, nothing)  # type: ignore[arg-type]
        app.add_exception_handler(RequestValidationError, where)  # type: ignore[arg-type]
        app.add_exception_handler(Exception, last)
        kinds: dict[str, Exception] = {
            "key": KeyError("k"),
            "zero": ZeroDivisionError(),
            "index": IndexError("i"),
            "none": TimeoutError(),
            "other": OSError("o"),
            "status": HTTPException(404, "s"),
        }

        @app.post("/fail/{kind}")
        async def fail(kind: str, body: dict[str, int]) -> None:
            raise kinds[kind]

        @app.get("/number/{number:int}")
        async def number(number: int) -> int:
            return number

        @app.get("/twice")
        async def twice(number: Annotated[int, Query()], other: Annotated[int, Query()]) -> int:
            return number

        return app

    async def acts(app: FastAPI, client: httpx2.AsyncClient, noted: list[Any]) -> None:
        async def too_late(request: Request, error: Exception) -> Response:
            return PlainTextResponse("added too late", 404)

        for kind in ("key", "zero", "index", "other", "status"):
            reply = await client.post(f"/fail/{kind}", json={"a": 1})
            noted.append((kind, reply.status_code, reply.text))
        # FastAPI reads the handlers only once.
        app.add_exception_handler(404, too_late)
        reply = await client.post("/fail/status", json={"a": 1})
        noted.append(("late", reply.status_code, reply.text))
        reply = await client.get("/twice?number=x&other=y")
        noted.append(("where", reply.status_code, reply.text))
        reply = await client.get("/number/" + "1" * 5000)
        noted.append(("number", reply.status_code, reply.text))

    noted = await alike(build, acts, monkeypatch, planned=7)
    told = {kind: (status, text) for kind, status, text in noted}
    assert told["key"] == (418, '{"detail":"from a handler: \'k\'"}')
    assert told["index"][1] == "object: i, b'{\"a\":1}'"
    assert told["late"] == (404, '{"detail":"s"}')
    assert told["where"] == (422, "twice GET /twice")


async def test_errors_of_shared_dependencies_are_reported_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []

    async def page(size: int, other: int = 1) -> int:
        return size

    async def one(size: Annotated[int, Depends(page)], mine: int) -> int:
        return size

    async def two(size: Annotated[int, Depends(page)]) -> int:
        return size

    async def anew() -> str:
        calls.append("anew")
        return "anew"

    async def above(value: Annotated[str, Depends(anew, use_cache=False)]) -> str:
        calls.append("above")
        return value

    def build(middleware: list[Middleware]) -> FastAPI:
        app = FastAPI(middleware=middleware)

        @app.get("/pages")
        async def pages(
            first: Annotated[int, Depends(one)],
            second: Annotated[int, Depends(two)],
            third: Annotated[int, Depends(page)],
            last: int,
        ) -> list[int]:
            return [first, second, third, last]

        @app.get("/anew")
        async def both(a: Annotated[str, Depends(above)], b: Annotated[str, Depends(above)]) -> str:
            return a + b

        return app

    async def acts(app: FastAPI, client: httpx2.AsyncClient, noted: list[Any]) -> None:
        calls.clear()
        await gets("/pages?size=x&last=y", "/pages?size=1&mine=2&last=3", "/anew")(
            app, client, noted
        )
        noted.append([*calls])

    noted = await alike(build, acts, monkeypatch, planned=2)
    assert noted[0][2].count('["query","size"]') == 3
