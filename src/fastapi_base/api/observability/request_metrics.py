"""Requests by method, route template and status: rate, errors, duration."""

from prometheus_client import Histogram
from starlette.types import Scope

from fastapi_base.api.observability.templates import Templates
from fastapi_base.core.observability import metrics

REQUESTS = metrics.histogram(
    "http_request_duration_seconds",
    "Duration of requests, from the first byte of a request to the last byte of its response",
    "method",
    "route",
    "status",
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMetrics:
    """Observes each request. Labels are bounded, so that clients cannot create new time series.

    One histogram serves all three: its count by status gives the rate and the errors. A request
    that is rejected before routing (429, 413, 421, a preflight) counts under route `none`, as does
    an unknown path.
    """

    def __init__(self) -> None:
        self._templates = Templates()
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
        return REQUESTS.child(
            method if method in _METHODS else "other",
            self._templates(scope),
            str(status),
        )
