"""Which requests create spans, and that an unavailable collector delays no request."""

import httpx2
import pytest
from pydantic import SecretStr

from fastapi_base.core.config import Settings
from fastapi_base.core.config.observability import SentrySettings, TracingSettings
from fastapi_base.main import create_app
from ops.dev.places import free_port
from ops.measure.bench.collector import receiving

pytestmark = pytest.mark.anyio


async def statuses(settings: Settings, *paths: str) -> list[int]:
    app = create_app(settings)
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        return [(await client.get(path)).status_code for path in paths]


@pytest.mark.parametrize("sample", [0.0, 1.0])
async def test_requests_are_sampled_and_probes_are_not_traced(
    settings: Settings, sample: float
) -> None:
    with receiving() as received:
        tracing = TracingSettings(endpoint=received.traces_url, sample=sample)
        traced = settings.model_copy(update={"tracing": tracing})
        assert await statuses(traced, "/health/live", "/api/v1/users/me") == [200, 401]
    assert [span.name for span in received.spans] == ["GET /api/v1/users/me"] * int(sample)


async def test_unavailable_collector_fails_no_request(settings: Settings) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    update = {
        "tracing": TracingSettings(endpoint=f"http://{nobody}/v1/traces", sample=1),
        "sentry": SentrySettings(dsn=SecretStr(f"http://public@{nobody}/1"), traces=1),
    }
    paths = ["/api/v1/users/me"] * 20
    assert await statuses(settings.model_copy(update=update), *paths) == [401] * 20
