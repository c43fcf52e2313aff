"""Builds an application twice, with and without plans, and sends both the same requests."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import (
    Depends,
    FastAPI,
)
from starlette.middleware import Middleware
from starlette.types import Receive, Scope, Send

from fastapi_base.api.routing.dispatch import DispatchMiddleware, Table
from fastapi_base.api.routing.plans import Plan, plan

type Build = Callable[[list[Middleware]], FastAPI]


type Acts = Callable[[FastAPI, httpx2.AsyncClient, list[Any]], Awaitable[None]]


async def alike(
    build: Build, acts: Acts, monkeypatch: pytest.MonkeyPatch, *, planned: int
) -> list[Any]:
    """Assert that `acts` records the same with and without plans.

    `planned` is the number of requests that plans serve; 0 where FastAPI has to serve them all.
    """
    served: list[str] = []
    call = Plan.__call__

    async def counted(self: Plan, scope: Scope, receive: Receive, send: Send) -> None:
        served.append(scope["path"])
        await call(self, scope, receive, send)

    monkeypatch.setattr(Plan, "__call__", counted)
    seen = []
    for middleware in ([], [Middleware(DispatchMiddleware, table=Table(plan))]):
        app = build(middleware)
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        noted: list[Any] = []
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            await acts(app, client, noted)
        seen.append(noted)
    assert seen[1] == seen[0]
    assert len(served) == planned, served
    return seen[0]


def gets(*paths: str, **headers: str) -> Acts:
    """Record the replies to GET requests for these paths."""

    async def acts(_: FastAPI, client: httpx2.AsyncClient, noted: list[Any]) -> None:
        for path in paths:
            reply = await client.get(path, headers=headers)
            noted.append((path, reply.status_code, reply.text))

    return acts


async def leaf() -> str:
    return "leaf"


async def branch(value: Annotated[str, Depends(leaf)]) -> str:
    return f"branch of {value}"
