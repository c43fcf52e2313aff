"""Deadlines, admission, compression, trusted hosts and traces."""

import asyncio
import gzip
import itertools
import logging
import time
from collections.abc import AsyncIterator

import httpx2
import pytest
import zstandard
from fastapi import FastAPI, Response
from fastapi.routing import iter_route_contexts
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from fastapi_base.api.middleware.deadline import DeadlineMiddleware
from fastapi_base.core.config import ApiSettings, Settings
from fastapi_base.core.errors import DeadlineExceeded
from fastapi_base.main import create_app

pytestmark = pytest.mark.anyio

LONG = {"text": "all work and no play " * 200}


def client_of(app: FastAPI, url: str = "http://test") -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=url)


def app_with(settings: Settings, **api: object) -> FastAPI:
    section = ApiSettings.model_validate(settings.api.model_dump() | api)
    return create_app(settings.model_copy(update={"api": section}))


async def test_late_request_is_cancelled_and_answered(settings: Settings) -> None:
    # Long enough for the route to begin.
    app = app_with(settings, deadline=1)
    cancelled = asyncio.Event()

    @app.get("/late")
    async def late() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with client_of(app) as client:
        reply = await client.get("/late")
    assert cancelled.is_set()
    assert reply.status_code == 503
    assert reply.json()["type"] == "urn:fastapi-base:deadline-exceeded"
    assert reply.json()["detail"] == "The request took more than 1 s"
    assert reply.headers["retry-after"]
    assert reply.headers["x-request-id"] == reply.json()["request_id"]


async def test_reply_that_begins_while_the_deadline_expires_is_not_an_error() -> None:
    ready, loop = asyncio.Event(), asyncio.get_running_loop()
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        async def answer() -> None:
            await ready.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(answer())

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise NotImplementedError

    # The event loop is blocked until both are due: it then wakes the reply and expires the deadline
    # in one iteration, and the reply runs before the cancellation arrives.
    loop.call_later(0.02, time.sleep, 0.2)
    loop.call_later(0.05, ready.set)
    deadline = DeadlineMiddleware(app, seconds=0.1, stream_seconds=60)
    with pytest.raises(DeadlineExceeded):
        await deadline({"type": "http", "path": "/"}, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def test_started_stream_may_outlast_the_deadline(settings: Settings) -> None:
    app = app_with(settings, deadline=1)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"a"
            await asyncio.sleep(1.1)
            yield b"b"

        return StreamingResponse(parts())

    async with client_of(app) as client:
        assert (await client.get("/stream")).content == b"ab"


async def test_request_that_waits_too_long_for_a_slot_is_refused(settings: Settings) -> None:
    app = app_with(settings, concurrency=2, queue_seconds=0.1)
    go_on = asyncio.Event()
    running, most = 0, 0

    @app.get("/slow")
    async def slow() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1

    async with client_of(app) as client:
        waiting = [asyncio.create_task(client.get("/slow")) for _ in range(5)]
        refused = [await done for done in itertools.islice(asyncio.as_completed(waiting), 3)]
        assert {reply.status_code for reply in refused} == {503}
        assert refused[0].json()["type"] == "urn:fastapi-base:overloaded"
        assert refused[0].json()["detail"] == "The request waited 0.1 s for a free slot"
        assert refused[0].headers["retry-after"]
        # Health checks take no slot.
        assert (await client.get("/health/live")).status_code == 200
        go_on.set()
        replies = [await task for task in waiting]
        assert sorted(reply.status_code for reply in replies) == [200, 200, 503, 503, 503]
        assert (running, most) == (0, 2)
        assert (await client.get("/slow")).status_code == 200


async def test_slots_are_released_after_errors_and_by_streams(settings: Settings) -> None:
    app = app_with(settings, concurrency=1, queue_seconds=10)
    go_on, streaming = asyncio.Event(), asyncio.Semaphore(0)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"a"
            streaming.release()
            await go_on.wait()
            yield b"b"

        return StreamingResponse(parts())

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError

    async with client_of(app) as client:
        begun = [asyncio.create_task(client.get("/stream")) for _ in range(3)]
        async with asyncio.timeout(30):
            for _ in begun:
                await streaming.acquire()
        for _ in range(3):
            assert (await client.get("/broken")).status_code == 500
        go_on.set()
        assert [(await task).content for task in begun] == [b"ab"] * 3


async def test_timeout_raised_by_the_route_is_not_a_deadline(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    @app.get("/own")
    async def own() -> None:
        raise TimeoutError("mine")

    assert (await client.get("/own")).json()["type"] == "urn:fastapi-base:internal-error"


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [("zstd, br, gzip", "zstd"), ("br", "br"), ("gzip;q=0.5", "gzip"), ("identity", None)],
)
async def test_long_replies_are_compressed_as_the_client_accepts(
    app: FastAPI, accepted: str, chosen: str | None
) -> None:
    @app.get("/long")
    async def long() -> dict[str, str]:
        return LONG

    async with (
        client_of(app) as client,
        client.stream("GET", "/long", headers={"accept-encoding": accepted}) as reply,
    ):
        raw = b"".join([part async for part in reply.aiter_raw()])
    assert reply.headers.get("content-encoding") == chosen
    assert "accept-encoding" in reply.headers["vary"].lower()
    assert len(raw) < 1000 if chosen else len(raw) > 4000
    if chosen == "gzip":
        raw = gzip.decompress(raw)
    elif chosen == "zstd":
        raw = zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    if chosen != "br":
        assert b"all work and no play" in raw


@pytest.mark.parametrize("case", ["tiny", "secret"])
async def test_small_and_secret_replies_are_not_compressed(app: FastAPI, case: str) -> None:
    @app.get("/tiny")
    async def tiny() -> dict[str, str]:
        return {"text": "short"}

    @app.get("/secret")
    async def secret(response: Response) -> dict[str, str]:
        response.headers["Cache-Control"] = "no-store"
        return LONG

    async with client_of(app) as client:
        reply = await client.get(f"/{case}", headers={"accept-encoding": "zstd, br, gzip"})
    assert reply.status_code == 200
    assert "content-encoding" not in reply.headers


async def test_only_trusted_hosts_are_served(settings: Settings) -> None:
    app = app_with(settings, trusted_hosts=("api.example.com", "*.example.org", "[::1]"))
    asked = {
        "http://api.example.com": 401,
        "http://API.example.com:8000": 401,
        "http://a.b.example.org": 401,
        "http://[::1]:8000": 401,
        "http://example.org": 421,
        "http://evil.example.com": 421,
        "http://api.example.com.evil.example": 421,
    }
    for url, status in asked.items():
        async with app.router.lifespan_context(app), client_of(app, url) as client:
            reply = await client.get("/api/v1/users/me")
            assert reply.status_code == status, url
            assert reply.headers["content-type"] == "application/problem+json"
            assert (await client.get("/health/live")).status_code == 200


async def test_no_url_is_built_from_the_host_header(app: FastAPI) -> None:
    paths = {context.path or "" for context in iter_route_contexts(app.routes)}
    assert len(paths) > 30
    async with app.router.lifespan_context(app), client_of(app, "http://evil.example") as client:
        for path in sorted(paths):
            for asked in (f"{path}/", path.rstrip("/")):
                for method in ("GET", "POST"):
                    reply = await client.request(method, asked)
                    assert not reply.is_redirect, asked
                    assert "evil.example" not in f"{reply.headers}{reply.text}", asked


@pytest.mark.parametrize(
    ("given", "trace"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        ('00-"\\n', False),
    ],
)
async def test_trace_id_of_the_caller_is_logged(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture, given: str, trace: bool
) -> None:
    with caplog.at_level(logging.INFO, "fastapi_base.access"):
        await client.get("/api/v1/users/me", headers={"traceparent": given})
    [record] = [found for found in caplog.records if found.name == "fastapi_base.access"]
    line = record.msg
    assert isinstance(line, dict)
    assert line.get("trace_id") == ("4bf92f3577b34da6a3ce929d0e0e4736" if trace else None)
