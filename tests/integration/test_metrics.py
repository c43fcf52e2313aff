"""Metrics of the API as Prometheus sees them: of several workers, and of workers that died."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import pytest

from ops.dev.places import free_port
from tests.integration.processes import GUNICORN, outcome, running
from tests.integration.scraping import folders, scrape, writers
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

SECONDS = "http_request_duration_seconds"


@dataclass(frozen=True)
class Api:
    """A server with two workers."""

    url: str
    metrics: int
    process: psutil.Process

    def workers(self) -> set[int]:
        """Process ids."""
        return {child.pid for child in self.process.children()}


@pytest.fixture(scope="module")
def api(
    tmp_path_factory: pytest.TempPathFactory, database_url: str, redis_url: str
) -> Iterator[Api]:
    port, metrics = free_port(), free_port()
    with running(
        GUNICORN,
        tmp_path_factory.mktemp("api") / "api.log",
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        API_PORT=str(port),
        API_WORKERS="2",
        METRICS_PORT=str(metrics),
        IMAGE_DIGEST="sha256:feed",
        RATE_LIMIT_ROUTES="POST /api/v1/auth/login=1/hour",
        LOG_FORMAT="json",
    ) as process:
        started = Api(f"http://127.0.0.1:{port}", metrics, psutil.Process(process.pid))
        asyncio.run(up(started))
        yield started
        assert folders(process.pid)
    assert not folders(process.pid)


async def spread(api: Api, path: str, count: int, method: str = "GET") -> set[int]:
    """Ask on a connection of its own each time, so that both workers answer. The statuses."""
    statuses = set()
    for _ in range(count):
        async with httpx2.AsyncClient(base_url=api.url) as client:
            statuses.add((await client.request(method, path)).status_code)
    return statuses


async def up(api: Api) -> None:
    async def ready() -> bool | None:
        try:
            statuses = await spread(api, "/health/ready", 1)
        except httpx2.TransportError:
            return None
        return True if statuses == {200} else None

    await until(ready, "ready", 90)


async def test_counts_of_all_workers_and_of_dead_ones_add_up(api: Api) -> None:
    await spread(api, "/api/v1/users/me", 40)
    for _ in range(3):
        seen = await scrape(api.metrics)
        route = {"method": "GET", "route": "/api/v1/users/me", "status": "401"}
        assert seen.total(f"{SECONDS}_count", **route) == 40
    assert seen.total("process_count") == 3
    assert seen.total("process_resident_memory_bytes") > 50e6
    before = seen.total("process_cpu_seconds_total")

    gone = api.workers()
    for pid in gone:
        os.kill(pid, signal.SIGKILL)

    async def replaced() -> bool | None:
        now = api.workers()
        return True if len(now) == 2 and not now & gone else None

    await until(replaced, "two new workers", 90)
    await up(api)
    await spread(api, "/api/v1/users/me", 2)
    assert (await scrape(api.metrics)).total(f"{SECONDS}_count", **route) == 42

    async def both_report() -> bool | None:
        limit = (await scrape(api.metrics)).total("db_pool_limit", server="primary")
        return True if limit == 20 else None

    # One of them answers; the other may still be starting.
    await until(both_report, "the pools of both workers, and of them alone")
    # What the dead had open is not reported, and their files are gone.
    assert writers(api.process.pid) <= {0, *api.workers()}
    seen = await scrape(api.metrics)
    assert seen.total("process_cpu_seconds_total") >= before
    assert seen.total("process_count") == 3


async def test_callers_cannot_make_series(api: Api) -> None:
    for number in range(5):
        await spread(api, f"/nowhere/{number}", 1)
        await spread(api, f"/api/v1/jobs/{number}", 1)
    for method in ("PROPFIND", "MKCOL", "LOCK"):
        await spread(api, "/api/v1/users/me", 1, method=method)
    seen = await scrape(api.metrics)
    routes = seen.values(f"{SECONDS}_count", "route")
    assert "/api/v1/jobs/{job_id}" in routes
    assert not [route for route in routes if any(map(str.isdecimal, route.replace("v1", "")))]
    assert seen.values(f"{SECONDS}_count", "method") <= {"GET", "POST", "other"}
    assert seen.total(f"{SECONDS}_count", route="none", status="404") == 5
    assert seen.total(f"{SECONDS}_count", method="other") == 3


async def test_build_pool_loop_and_limits_are_seen(api: Api) -> None:
    assert await spread(api, "/api/v1/auth/login", 3, method="POST") == {422, 429}

    async def looked() -> bool | None:
        seen = await scrape(api.metrics)
        ready = seen.total("db_pool_connections", server="primary") >= 1
        return True if ready and seen.total("event_loop_lag_seconds_count") >= 2 else None

    await until(looked, "both workers looked at themselves")
    seen = await scrape(api.metrics)
    assert seen.values("build_info", "image_digest") == {"sha256:feed"}
    assert seen.values("build_info", "version") == {"0.1.0"}
    decided = "rate_limit_decisions_total"
    assert seen.total(decided, quota="route", decision="allowed") == 1
    assert seen.total(decided, quota="route", decision="refused") == 2
    assert seen.total(decided, quota="address", decision="refused") == 0


async def test_a_port_that_is_taken_stops_the_boot_with_a_sentence(
    api: Api, tmp_path: Path
) -> None:
    port = str(api.metrics)
    code, errors = await asyncio.to_thread(outcome, GUNICORN, tmp_path, METRICS_PORT=port)
    assert code == 1
    assert f"METRICS_PORT: 127.0.0.1:{port} cannot be used" in errors
    assert "Traceback" not in errors
