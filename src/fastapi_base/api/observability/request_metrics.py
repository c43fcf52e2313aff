"""Requests by method, route template and status: rate, errors, duration."""

from fastapi.routing import iter_route_contexts
from prometheus_client import Histogram
from starlette.types import Scope

from fastapi_base.core.observability import metrics

REQUESTS = metrics.histogram(
    "http_request_duration_seconds",
    "Duration of requests, from the first byte of a request to the last byte of its response",
    "method",
    "route",
    "status",
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "none"


class RequestMetrics:
    """Observes each request. Labels are bounded, so that clients cannot create new time series.

    One histogram serves all three: its count by status gives the rate and the errors. A request
    that is rejected before routing (429, 413, 421, a preflight) counts under route `none`, as does
    an unknown path.
    """

    def __init__(self) -> None:
        # By id, because routes have no hash. Each route is kept with its template: the id of a
        # removed one must not belong to another.
        self._templates: dict[int, tuple[object, str]] = {}
        self._series: dict[tuple[int, str, int], Histogram] = {}

    def __call__(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one request."""
        route = scope.get("route")
        key = (id(route), scope["method"], status)
        series = self._series.get(key)
        if series is None:
            series = self._new(scope, status)
            if scope["method"] in _METHODS:
                self._series[key] = series
        series.observe(seconds)

    def _new(self, scope: Scope, status: int) -> Histogram:
        method: str = scope["method"]
        route = scope.get("route")
        return REQUESTS.child(
            method if method in _METHODS else "other",
            NO_ROUTE if route is None else self._template(route, scope),
            str(status),
        )

    def _template(self, route: object, scope: Scope) -> str:
        if id(route) not in self._templates:
            # Routes may be added at any time.
            for found in iter_route_contexts(scope["app"].routes):
                if found.path:
                    known = found.original_route
                    self._templates[id(known)] = (known, found.path)
            self._templates.setdefault(id(route), (route, NO_ROUTE))
        return self._templates[id(route)][1]
