"""Requests leave no cycles for the garbage collector, which would traverse all live objects."""

import gc
import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Message, Scope

from fastapi_base.core.config import Settings
from fastapi_base.main import create_app
from tests.calling import calling
from tests.integration.accounts import new_user

pytestmark = pytest.mark.anyio

ROUNDS = 20


class Exchange:
    """A request as a server holds it: its send function refers to the scope."""

    def __init__(self, scope: Scope, body: bytes) -> None:
        self.scope = scope
        self._body = body
        self.status = 0

    async def receive(self) -> Message:
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: Message) -> None:
        self.status = message.get("status", self.status)


async def ask(app: FastAPI, method: str, target: str, headers: dict[str, str], body: bytes) -> int:
    path, _, query = target.partition("?")
    given = {**headers, "host": "test", "accept-encoding": "gzip"}
    if body:
        given |= {"content-type": "application/json", "content-length": str(len(body))}
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
        "state": {},
    }
    exchange = Exchange(scope, body)
    await app(scope, exchange.receive, exchange.send)
    return exchange.status


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("GET", "/health/live", None, 200),
        ("GET", "/api/v1/users/me", None, 200),
        ("GET", "/api/v1/jobs?limit=50", None, 200),
        ("POST", "/api/v1/jobs/word-count", {"text": "one fish"}, 202),
        ("POST", "/api/v1/jobs/word-count", {"text": 1}, 422),
        ("GET", "/api/v1/jobs/01900000-0000-7000-8000-000000000000", None, 404),
        ("GET", "/nowhere", None, 404),
    ],
)
async def test_request_leaves_no_cycles(
    make_settings: Callable[[str], Settings],
    fresh_database_url: str,
    method: str,
    target: str,
    body: object,
    status: int,
) -> None:
    app = create_app(make_settings(fresh_database_url))
    sent = b"" if body is None else json.dumps(body).encode()
    async with calling(app) as client:
        headers = await new_user(client, "ada@example.com")
        # Everything that is created only once exists by now.
        for _ in range(3):
            assert await ask(app, method, target, headers, sent) == status
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(ROUNDS):
                await ask(app, method, target, headers, sent)
            gc.collect()
            left = [type(one).__name__ for one in gc.garbage]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert len(left) < ROUNDS, left
