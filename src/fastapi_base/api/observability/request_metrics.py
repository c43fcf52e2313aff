"""Requests by method, route template and status: their rate, their errors, their duration."""

from fastapi.routing import iter_route_contexts
from prometheus_client import Histogram
from starlette.types import Scope

from fastapi_base.core import metrics

REQUESTS = metrics.histogram(
    "http_request_duration_seconds",
    "Seconds from the first byte of a request to the last of its reply",
    "method",
    "route",
    "status",
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "none"


class RequestMetrics:
    """Called with each request. Callers cannot make series: what they choose is bounded here.

    One histogram for all three: its count by status is the rate and the errors. A request that was
    refused before its route was looked for (429, 413, 421, a preflight) counts under route `none`,
    as does a path that leads nowhere.
    """

    def __init__(self) -> None:
        self._templates: dict[int, str] = {}
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
        if not self._templates:
            # Late, since routes come after the middleware; ids hold, since routes stay.
            self._templates = {
                id(found.original_route): found.path
                for found in iter_route_contexts(scope["app"].routes)
                if found.path
            }
        return REQUESTS.child(
            method if method in _METHODS else "other",
            self._templates.get(id(scope.get("route")), NO_ROUTE),
            str(status),
        )
