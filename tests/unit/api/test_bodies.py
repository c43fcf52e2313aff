"""Bodies are received before any shared resource is taken, and their buffers are bounded."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse
from starlette.types import Message

from fastapi_base.api.middleware.body import BodyLimits, BodyMiddleware
from fastapi_base.api.routing.dispatch import Table
from fastapi_base.core.config import ApiSettings, Settings
from fastapi_base.core.errors import DeadlineExceeded, Unavailable
from fastapi_base.main import create_app

pytestmark = pytest.mark.anyio


def app_with(settings: Settings, **api: object) -> FastAPI:
    section = ApiSettings.model_validate(settings.api.model_dump() | api)
    app = create_app(settings.model_copy(update={"api": section}))

    @app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    return app


class Call:
    """A request whose body arrives as the test sends it."""

    def __init__(
        self,
        app: FastAPI,
        address: str = "192.0.2.1",
        path: str = "/echo",
        framing: Sequence[tuple[bytes, bytes]] = ((b"transfer-encoding", b"chunked"),),
    ) -> None:
        self.sent: list[Message] = []
        self._parts: asyncio.Queue[Message] = asyncio.Queue()
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"test"), *framing],
            "client": (address, 1),
            "server": ("test", 80),
            "state": {},
        }
        self.task = asyncio.create_task(app(self.scope, self._parts.get, self._send))

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    def push(self, body: bytes, *, last: bool = False) -> None:
        """Send a part of the body without waiting."""
        self._parts.put_nowait({"type": "http.request", "body": body, "more_body": not last})

    async def send(self, body: bytes, *, last: bool = False) -> None:
        """Send a part of the body; returns when the application has consumed or refused it."""
        self.push(body, last=last)
        while not (self._parts.empty() or self.task.done()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    def leave(self) -> None:
        self._parts.put_nowait({"type": "http.disconnect"})

    async def reply(self) -> tuple[int, Any]:
        """Status and body of the reply."""
        async with asyncio.timeout(10):
            await self.task
        return self.sent[0]["status"], json.loads(b"".join(m["body"] for m in self.sent[1:]))


async def test_request_receiving_its_body_holds_no_slot(settings: Settings) -> None:
    app = app_with(settings, concurrency=1, queue_seconds=0.1)
    slow = [Call(app, f"192.0.2.{n}") for n in range(20)]
    for call in slow:
        await call.send(b"a")
    quick = Call(app)
    await quick.send(b"abc", last=True)
    assert await quick.reply() == (200, 3)
    for call in slow:
        await call.send(b"b", last=True)
        assert await call.reply() == (200, 2)


async def test_oldest_body_of_an_address_is_evicted(settings: Settings) -> None:
    app = app_with(settings, pending_bodies_per_address=2)
    # An IPv6 /64 counts as one client, as everywhere.
    calls = [Call(app, f"2001:db8::{n}") for n in range(3)]
    other = Call(app, "2001:db8:0:1::1")
    for call in (*calls, other):
        await call.send(b"a")
    status, problem = await calls[0].reply()
    assert (status, problem["type"]) == (429, "urn:fastapi-base:too-many-at-once")
    for call in (*calls[1:], other):
        await call.send(b"b", last=True)
        assert await call.reply() == (200, 2)


async def test_body_that_is_timing_out_may_be_evicted() -> None:
    app, loop = FastAPI(), asyncio.get_running_loop()
    limits = BodyLimits(one=9, total=9, seconds=60, pause=0.1, of_address=1)
    app.add_middleware(BodyMiddleware, limits=limits, table=Table())

    @app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    calls = [Call(app)]
    await calls[0].send(b"a")

    def another() -> None:
        calls.append(Call(app))
        calls[1].push(b"b", last=True)

    # The event loop is blocked until both timers are due: it then starts the second request and
    # expires the first body in one iteration, and the second request runs before the first.
    loop.call_later(0.02, time.sleep, 0.2)
    loop.call_later(0.05, another)
    assert (await calls[0].reply())[0] == 429
    assert await calls[1].reply() == (200, 1)


async def test_total_bytes_of_bodies_are_bounded(settings: Settings) -> None:
    app = app_with(settings, pending_body_bytes=5000)
    calls = [Call(app, f"192.0.2.{n}") for n in range(4)]
    for call in calls[:3]:
        await call.send(b"a" * 1500)
    await calls[3].send(b"a" * 1500, last=True)
    # The oldest body was evicted for the one that arrived whole.
    assert await calls[3].reply() == (200, 1500)
    status, problem = await calls[0].reply()
    assert (status, problem["type"]) == (503, "urn:fastapi-base:overloaded")
    for call in calls[1:3]:
        await call.send(b"", last=True)
        assert await call.reply() == (200, 1500)
    # Finished and evicted bodies are no longer counted.
    for _ in range(10):
        call = Call(app)
        await call.send(b"a" * 2000, last=True)
        assert await call.reply() == (200, 2000)


async def test_oversized_and_stalled_bodies_are_refused(settings: Settings) -> None:
    app = app_with(settings, body_pause=0.05)
    large, still = Call(app), Call(app)
    for _ in range(3):
        await large.send(b"a" * 1000)
    assert (await large.reply())[0] == 413
    status, problem = await still.reply()
    assert (status, problem["type"]) == (408, "urn:fastapi-base:request-timeout")
    assert "pauses of more than 0.05 s" in problem["detail"]


@pytest.mark.parametrize(
    "framing",
    [
        [(b"content-length", b"4000000")],
        [(b"content-length", b"4000000".zfill(40))],
        [(b"content-length", b" 4000000\t")],
        [(b"content-length", b"4e6")],
        [(b"transfer-encoding", b"chunked"), (b"content-length", b"0")],
    ],
)
async def test_body_limit_applies_to_every_declaration_of_length(
    settings: Settings, framing: list[tuple[bytes, bytes]]
) -> None:
    call = Call(app_with(settings, max_body_bytes=1_000_000), framing=framing)
    await call.send(b"a" * 1_000_001)
    assert (await call.reply())[0] == 413


async def test_client_disconnect_is_logged_once(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with(settings)
    logging.getLogger().addHandler(caplog.handler)
    began = asyncio.Event()

    @app.post("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"a"
            began.set()
            await asyncio.Event().wait()

        return StreamingResponse(parts())

    for path in ("/echo", "/stream"):
        caplog.clear()
        call = Call(app, path=path)
        await call.send(b"a", last=path == "/stream")
        if path == "/stream":
            await began.wait()
        call.leave()
        async with asyncio.timeout(10):
            await call.task
        [line] = [r for r in caplog.records if r.name.endswith("middleware.unhandled")]
        assert isinstance(line.msg, dict)
        assert (line.msg["event"], line.levelno) == ("client disconnected", logging.INFO)
        assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("case", ["too long", "database away"])
async def test_failing_stream_is_aborted_with_one_warning(
    settings: Settings, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    app = app_with(settings, stream_seconds=0.05)
    logging.getLogger().addHandler(caplog.handler)

    @app.post("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"a"
            if case == "database away":
                raise Unavailable("The database does not answer")
            await asyncio.Event().wait()

        return StreamingResponse(parts())

    for can_cut in (True, False):
        caplog.clear()
        cut = asyncio.Event()

        async def cut_off(cut: asyncio.Event = cut) -> None:
            cut.set()

        call = Call(app, path="/stream")
        call.scope["extensions"] = {"fastapi_base.cut": cut_off} if can_cut else {}
        await call.send(b"", last=True)
        async with asyncio.timeout(10):
            if can_cut:
                await call.task
            else:
                # Another server closes the connection when the error is raised.
                with pytest.raises((DeadlineExceeded, RuntimeError)):
                    await call.task
        assert cut.is_set() == can_cut
        assert call.sent[-1].get("more_body")
        [line] = [r for r in caplog.records if r.name.endswith("middleware.unhandled")]
        assert (line.levelno, line.exc_info) == (logging.WARNING, None)
        assert isinstance(line.msg, dict)
        assert line.msg["event"] == "reply cut off"
