"""Requests are counted under the templates of their routes."""

import httpx2
import pytest
from fastapi import APIRouter, FastAPI

from fastapi_base.api.middleware.access_log import AccessLogMiddleware
from fastapi_base.api.observability.request_metrics import RequestMetrics
from fastapi_base.core.observability.metrics import REGISTRY

pytestmark = pytest.mark.anyio


def counted(route: str) -> float:
    """The number of requests to the route so far."""
    labels = {"method": "GET", "route": route, "status": "200"}
    return REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) or 0


async def test_routes_that_are_added_at_run_time_have_their_own_series() -> None:
    app = FastAPI()
    app.add_middleware(AccessLogMiddleware, observe=RequestMetrics())

    async def reply() -> str:
        return ""

    app.add_api_route("/first/{name}", reply)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.get("/first/x")
        app.add_api_route("/second/{name}", reply)
        router = APIRouter()
        router.add_api_route("/third/{name}", reply)
        app.include_router(router)
        for path in ("/second/x", "/second/y", "/third/x"):
            assert (await client.get(path)).status_code == 200
        app.router.routes.pop()
        assert (await client.get("/second/z")).status_code == 200
    assert counted("/first/{name}") == 1
    assert counted("/second/{name}") == 3
    assert counted("/third/{name}") == 1
