"""Looks up a request's route in a table and runs its compiled plan.

FastAPI walks its tree of routers, and the dependency tree of a route, for each request, with an
exit stack and an exception guard around each level. None of that depends on the request. Plans are
compiled from FastAPI's own analysis of a route; FastAPI's own functions still read parameters and
bodies and serialise responses. FastAPI serves everything without a plan, such as unknown paths and
methods. docs/performance.md has the measurements.

Plans use private names of FastAPI (plans.py, plan_steps.py), so they are enabled only for the
tested versions of FastAPI and Starlette; with other versions, or with API_PLANS=false, FastAPI
serves every route. The whole API test suite runs both ways.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import fastapi
import starlette
import structlog
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette import convertors
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute, Match, Mount, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_base.api.deps import needs_caller

if TYPE_CHECKING:
    from fastapi_base.api.routing.plans import Plan

log = structlog.stdlib.get_logger(__name__)

# To support other versions, run tests/unit/api and tests/integration/api, then change these.
TESTED_FASTAPI = "0.165.0"
TESTED_STARLETTE = "1.10.0"

_PLAN = "fastapi_base.plan"
# Starlette convertors whose values contain no slash.
_ONE_SEGMENT = (
    convertors.StringConvertor,
    convertors.IntegerConvertor,
    convertors.FloatConvertor,
    convertors.UUIDConvertor,
)
# Attributes that a custom router class may override.
_ROUTING = ("__call__", "app", "handle", "matches")

# Compiles a route's plan; returns None if FastAPI has to serve the route.
type Planner = Callable[[RouteContext], "Plan | None"]


def planner(*, enabled: bool) -> Planner | None:
    """The function that compiles plans, or None if FastAPI serves every route; logs the reason."""
    if not enabled:
        log.info("routes are served without plans", reason="API_PLANS is false")
        return None
    if fastapi.__version__ != TESTED_FASTAPI:
        reason = f"FastAPI {fastapi.__version__} is not the tested {TESTED_FASTAPI}"
    elif starlette.__version__ != TESTED_STARLETTE:
        reason = f"Starlette {starlette.__version__} is not the tested {TESTED_STARLETTE}"
    else:
        try:
            from fastapi_base.api.routing.plans import plan
        except ImportError as error:
            reason = str(error)
        else:
            return plan
    log.warning("routes are served without plans, which costs speed only", reason=reason)
    return None


class DispatchMiddleware:
    """The innermost middleware: looks up a request's route in the table and runs its plan.

    `table` may be filled beforehand, for example before processes fork. Routes that are added,
    removed or replaced later take effect from the next request. If another middleware stands
    between this one and the routes, FastAPI serves every route, so that no middleware is bypassed.
    """

    def __init__(self, app: ASGIApp, table: "Table | None" = None) -> None:
        self.app = app
        self._table = table or Table()
        self._innermost = isinstance(app, ExceptionMiddleware)
        self._planned: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if self._planned is None:
            # The exception handlers as of now: FastAPI also reads them once.
            self._planned = _handling(scope["app"])
        plan = None
        if scope["type"] == "http" and self._innermost and not scope.get("root_path"):
            plan = self._table.find(scope)
        if plan is None or not plan.serves(scope):
            await self.app(scope, receive, send)
            return
        scope[_PLAN] = plan
        await self._planned(scope, receive, send)


def _handling(app: FastAPI) -> ASGIApp:
    """The application that runs plans inside the exception handlers, as Starlette nests it."""
    handlers = {
        kind: handler
        for kind, handler in app.exception_handlers.items()
        if kind not in (500, Exception)
    }
    return ExceptionMiddleware(_answer, handlers=handlers, debug=app.debug)


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    plan = scope.pop(_PLAN)
    scope["router"] = scope["app"].router
    given = scope["path_params"]
    for name, convertor in plan.context.param_convertors.items():
        given[name] = convertor.convert(given[name])
    await plan(scope, receive, send)


class Entry:
    """A route, its plan (None if FastAPI serves it), and whether it requires a caller.

    `before` are earlier routes of other kinds that may match the same requests.
    """

    __slots__ = ("before", "context", "needs_caller", "plan")

    def __init__(
        self, context: RouteContext, plan: "Plan | None", before: tuple[RouteContext, ...]
    ) -> None:
        self.context = context
        self.needs_caller = needs_caller(context.dependant)
        self.plan = plan
        self.before = before


class Table:
    """The application's routes by method and path, with plans where `make` returns one."""

    def __init__(self, make: Planner | None = None) -> None:
        self._make = make
        self._static: dict[tuple[str, str], Entry] = {}
        # By method and number of segments, so that few patterns remain to try.
        self._patterns: dict[tuple[str, int], list[Entry]] = {}
        # All routers, each with its routes when the table was filled.
        self._routers: list[tuple[APIRouter, list[BaseRoute]]] = []
        self._places: dict[int, tuple[APIRouter, int]] = {}

    def fill(self, app: FastAPI) -> None:
        """Read the application's routes."""
        self._static, self._patterns = {}, {}
        self._routers = [(router, [*router.routes]) for router in _routers(app.router)]
        self._places = {
            id(route): (router, number)
            for router, routes in self._routers
            for number, route in enumerate(routes)
        }
        if any(_has_own_ways(router) for router, _ in self._routers):
            # A custom router decides which of its routes match and what runs around them.
            return
        others: list[RouteContext] = []
        for context in iter_route_contexts(app.routes):
            route = context.original_route
            if isinstance(route, WebSocketRoute):
                continue
            if not isinstance(route, APIRoute) or type(route).matches is not APIRoute.matches:
                others.append(context)
                continue
            if any(type(known) not in _ONE_SEGMENT for known in context.param_convertors.values()):
                # It may also match the paths of later routes.
                break
            before = tuple(other for other in others if _may_take(other, context))
            for method in context.methods or ():
                self._add(method, context, before)

    @property
    def full(self) -> bool:
        """Whether the routes were read."""
        return bool(self._routers)

    def _add(self, method: str, context: RouteContext, before: tuple[RouteContext, ...]) -> None:
        path = context.path or ""
        alike = self._patterns.setdefault((method, path.count("/")), [])
        made = Entry(context, self._make(context) if self._make else None, before)
        if context.param_convertors:
            alike.append(made)
        elif not any(earlier.context.path_regex.match(path) for earlier in alike):
            self._static.setdefault((method, path), made)

    def entry(self, scope: Scope) -> Entry | None:
        """The route that FastAPI would choose; None if it is not in the table."""
        return self._find(scope)[0]

    def find(self, scope: Scope) -> "Plan | None":
        """The plan of the route that FastAPI would choose; sets the scope as FastAPI does.

        Path parameters are the raw strings.
        """
        entry, given = self._find(scope)
        if entry is None or entry.plan is None:
            return None
        scope["route"] = entry.context.original_route
        scope["endpoint"] = entry.context.endpoint
        scope["path_params"] = given
        return entry.plan

    def _find(self, scope: Scope) -> tuple[Entry | None, dict[str, str]]:
        """The route, and the raw strings of its path parameters."""
        app: FastAPI = scope["app"]
        if self._is_old(app):
            self.fill(app)
        entry, given = self._look_up(scope)
        if entry is not None and not self._is_there(entry):
            self.fill(app)
            entry, given = self._look_up(scope)
        if entry and any(other.matches(scope)[0] is Match.FULL for other in entry.before):
            return None, {}
        return entry, given

    def _look_up(self, scope: Scope) -> tuple[Entry | None, dict[str, str]]:
        method, path = scope["method"], scope["path"]
        if found := self._static.get((method, path)):
            return found, {}
        if path.endswith("\n"):
            # Python's `$` also matches before a final newline, so FastAPI may match a static route.
            return None, {}
        for entry in self._patterns.get((method, path.count("/")), ()):
            if match := entry.context.path_regex.match(path):
                return entry, match.groupdict()
        return None, {}

    def _is_old(self, app: FastAPI) -> bool:
        """Whether routes were added or removed. Comparing identical list elements is fast."""
        if not self._routers or self._routers[0][0] is not app.router:
            return True
        return any(router.routes != routes for router, routes in self._routers)

    def _is_there(self, entry: Entry) -> bool:
        """Whether the route is still in place: an equal replacement may behave differently."""
        router, number = self._places[id(entry.context.original_route)]
        return router.routes[number] is entry.context.original_route


def _routers(router: APIRouter) -> Iterator[APIRouter]:
    """The router and all included routers."""
    yield router
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if isinstance(inner, APIRouter):
            yield from _routers(inner)


def _has_own_ways(router: APIRouter) -> bool:
    """Whether the router overrides FastAPI's routing or serving."""
    kind = type(router)
    return router.middleware_stack != router.app or any(
        getattr(kind, name) is not getattr(APIRouter, name) or name in vars(router)
        for name in _ROUTING
    )


def _may_take(other: RouteContext, context: RouteContext) -> bool:
    """Whether a mount or a Starlette route may match requests for this route."""
    path, taken = context.path or "", other.path
    if taken is None or "{" in taken:
        return True
    if not isinstance(other.original_route, Mount):
        return context.path_regex.match(taken) is not None
    known = path.partition("{")[0]
    return f"{path}/".startswith(f"{taken}/") or (known != path and f"{taken}/".startswith(known))
