"""Finds a request's route in a table and runs it by a plan.

FastAPI walks its tree of routers, and the tree of a route's dependencies, anew for each request,
with an exit stack and a guard around each level. None of that depends on the request. What a route
means is still FastAPI's own reading of it, from which plans are made; parameters and bodies are
read, and replies are written, by FastAPI's own functions. What has no plan goes to FastAPI: unknown
paths and methods among others. docs/performance.md tells what it gives.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from fastapi.telemetry._api import _route_selected
from starlette.convertors import PathConvertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_base.api.plans import NoPlan, Plan


class DispatchMiddleware:
    """The innermost middleware. Reads the application's routes when the first request comes.

    `table` has them already, where that is done before processes are forked. A route that is added
    later is served too, by FastAPI.
    """

    def __init__(self, app: ASGIApp, table: "Table | None" = None) -> None:
        self.app = app
        self._table = table or Table()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        plan = None
        if scope["type"] == "http" and not scope["root_path"]:
            if not self._table.full:
                self._table.fill(scope["app"])
            plan = self._table.find(scope)
        if plan is None or not plan.reads(scope):
            await self.app(scope, receive, send)
            return
        # The span of the request, where there is one, is named as FastAPI names it.
        _route_selected(scope=scope, path=plan.context.path_format)
        request = Request(scope, receive, send)
        try:
            reply = await plan.reply(request)
        except Exception as error:
            reply = await _refused(request, error)
        await reply(scope, receive, send)


async def _refused(request: Request, error: Exception) -> Response:
    """What the application's handlers make of the error. Raises it when none is for it."""
    handlers: Mapping[Any, Any] = request.app.exception_handlers
    for kind in type(error).__mro__:
        if kind is not Exception and kind in handlers:
            reply = await handlers[kind](request, error)
            assert isinstance(reply, Response)
            return reply
    raise error


class Table:
    """The plans by method and path; None where FastAPI serves a route."""

    def __init__(self) -> None:
        self.full = False
        self._static: dict[tuple[str, str], Plan | None] = {}
        # By method and number of segments: only few patterns are left to try.
        self._patterns: dict[tuple[str, int], list[tuple[RouteContext, Plan | None]]] = {}

    def fill(self, app: FastAPI) -> None:
        """Make plans of the application's routes."""
        for context in iter_route_contexts(app.routes):
            if not isinstance(context.original_route, APIRoute):
                # The documentation, under paths of its own.
                continue
            if any(isinstance(known, PathConvertor) for known in context.param_convertors.values()):
                # It may be meant for what later routes look like too.
                break
            for method in context.methods or ():
                self._add(method, context)
        self.full = True

    def _add(self, method: str, context: RouteContext) -> None:
        path = context.path or ""
        alike = self._patterns.setdefault((method, path.count("/")), [])
        try:
            plan = Plan(context)
        except NoPlan:
            plan = None
        if context.param_convertors:
            alike.append((context, plan))
        elif not any(earlier.path_regex.match(path) for earlier, _ in alike):
            self._static.setdefault((method, path), plan)

    def find(self, scope: Scope) -> Plan | None:
        """The plan of the route that FastAPI would choose, noted in the scope as FastAPI does."""
        method, path = scope["method"], scope["path"]
        if (method, path) in self._static:
            return _chosen(scope, self._static[method, path], {})
        for context, plan in self._patterns.get((method, path.count("/")), ()):
            if match := context.path_regex.match(path):
                return _chosen(scope, plan, match.groupdict())
        return None


def _chosen(scope: Scope, plan: Plan | None, given: dict[str, str]) -> Plan | None:
    if plan is not None:
        context = plan.context
        scope["route"] = context.original_route
        scope["endpoint"] = context.endpoint
        scope["path_params"] = {
            name: context.param_convertors[name].convert(value) for name, value in given.items()
        }
    return plan
