"""The API's metrics as Prometheus scrapes them: of several workers, and of dead workers."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import pytest

from ops.dev.places import free_port
from tests.integration.processes import GUNICORN, outcome, running, serves
from tests.integration.scraping import Scrape, folders, scrape, writers
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

SECONDS = "http_request_duration_seconds"


@dataclass(frozen=True)
class Api:
    """A server with two workers."""

    port: int
    metrics: int
    process: psutil.Process

    def workers(self) -> set[int]:
        """The process IDs of the workers."""
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
        asyncio.run(serves(port))
        yield Api(port, metrics, psutil.Process(process.pid))
        assert folders(process.pid)
    assert not folders(process.pid)


async def spread(api: Api, path: str, count: int, method: str = "GET") -> set[int]:
    """Send each request on a new connection, so that both workers answer. Returns the statuses."""
    statuses = set()
    for _ in range(count):
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{api.port}") as client:
            statuses.add((await client.request(method, path)).status_code)
    return statuses


async def settled(api: Api, total: float, **labels: str) -> Scrape:
    """Wait until this many requests are counted, which follows their replies, and no more are."""

    async def counted() -> bool | None:
        seen = await scrape(api.metrics)
        return seen.total(f"{SECONDS}_count", **labels) >= total or None

    await until(counted, f"{total} requests with {labels} are counted")
    for _ in range(2):
        seen = await scrape(api.metrics)
        assert seen.total(f"{SECONDS}_count", **labels) == total
    return seen


async def both_report(api: Api) -> None:
    """Wait for both workers: when one of them responds, the other may still be starting."""

    async def all_pools() -> bool | None:
        limit = (await scrape(api.metrics)).total("db_pool_limit", server="primary")
        return True if limit == 20 else None

    await until(all_pools, "both workers report", 90)


async def test_counts_of_live_and_dead_workers_add_up(api: Api) -> None:
    await both_report(api)
    await spread(api, "/api/v1/users/me", 40)
    route = {"method": "GET", "route": "/api/v1/users/me", "status": "401"}
    seen = await settled(api, 40, **route)
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
    await serves(api.port)
    await spread(api, "/api/v1/users/me", 2)
    await settled(api, 42, **route)
    await both_report(api)
    # Gauges of the dead process are not reported, and its files are removed.
    assert writers(api.process.pid) <= {0, *api.workers()}
    seen = await scrape(api.metrics)
    assert seen.total("process_cpu_seconds_total") >= before
    assert seen.total("process_count") == 3


async def test_scrape_does_not_wait_for_clients_that_send_nothing(api: Api) -> None:
    with ExitStack() as stack:
        for _ in range(16):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", api.metrics), 10))
            peer.sendall(b"GET /metrics HTTP/1.1\r\n")
        # Each of them may stay for ten seconds.
        async with asyncio.timeout(8):
            assert (await scrape(api.metrics)).total("process_count") == 3


async def test_callers_cannot_create_series(api: Api) -> None:
    for number in range(5):
        await spread(api, f"/nowhere/{number}", 1)
        await spread(api, f"/api/v1/jobs/{number}", 1)
    for method in ("PROPFIND", "MKCOL", "LOCK"):
        await spread(api, "/api/v1/users/me", 1, method=method)
    await settled(api, 5, route="/api/v1/jobs/{job_id}", status="401")
    await settled(api, 3, method="other")
    seen = await settled(api, 5, route="none", status="404")
    routes = seen.values(f"{SECONDS}_count", "route")
    assert not [route for route in routes if any(map(str.isdecimal, route.replace("v1", "")))]
    assert seen.values(f"{SECONDS}_count", "method") <= {"GET", "POST", "other"}


async def test_build_pool_loop_and_limits_are_exposed(api: Api) -> None:
    assert await spread(api, "/api/v1/auth/login", 3, method="POST") == {422, 429}

    async def looked() -> bool | None:
        seen = await scrape(api.metrics)
        ready = seen.total("db_pool_connections", server="primary") >= 1
        return True if ready and seen.total("event_loop_lag_seconds_count") >= 2 else None

    await until(looked, "both workers report their pools and event loops")
    seen = await scrape(api.metrics)
    assert seen.values("build_info", "image_digest") == {"sha256:feed"}
    assert seen.values("build_info", "version") == {"0.1.0"}
    decided = "rate_limit_decisions_total"
    assert seen.total(decided, quota="route", decision="allowed") == 1
    assert seen.total(decided, quota="route", decision="refused") == 2
    assert seen.total(decided, quota="address", decision="refused") == 0


async def test_occupied_port_fails_at_boot_with_a_sentence(api: Api, tmp_path: Path) -> None:
    port = str(api.metrics)
    code, errors = await asyncio.to_thread(outcome, GUNICORN, tmp_path, METRICS_PORT=port)
    assert code == 1
    assert f"METRICS_PORT: 127.0.0.1:{port} cannot be used" in errors
    assert "Traceback" not in errors
