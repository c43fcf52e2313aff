"""API and worker expose every metric that alerts and dashboards query."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from ops.dev.places import free_port
from tests.integration.processes import CELERY, GUNICORN, running
from tests.integration.scraping import Scrape, scrape
from tests.integration.waiting import until
from tests.ops.deploy.grafana.queries import OF_PROMETHEUS, defined, queries, rules

pytestmark = pytest.mark.anyio

# Exposed from their first occurrence on, and none occurs here.
RARE = {
    "db_pool_timeouts_total",
    "rate_limit_redis_failures_total",
    "task_duration_seconds_bucket",
    "task_duration_seconds_count",
    "tasks_lost_total",
    "tasks_running",
}
# The last of the metrics that both expose early.
EARLY = {
    "db_pool_limit",
    "event_loop_lag_seconds_count",
    "http_request_duration_seconds_count",
    "jobs_oldest_due_seconds",
    "jobs_unfinished",
    "queue_messages",
    "rate_limit_decisions_total",
    "schedule_late_seconds",
}


async def test_every_queried_metric_and_label_is_exposed(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    port, api, worker = free_port(), free_port(), free_port()
    shared = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    with (
        running(
            GUNICORN,
            tmp_path / "api.log",
            **shared,
            API_PORT=str(port),
            API_WORKERS="1",
            METRICS_PORT=str(api),
        ),
        running(
            (*CELERY, "worker"),
            tmp_path / "worker.log",
            **shared,
            CELERY_CONCURRENCY="1",
            METRICS_PORT=str(worker),
        ),
    ):

        async def answers() -> list[Scrape] | None:
            try:
                async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                    await client.get("/api/v1/users/me")
                found = [await scrape(api), await scrape(worker)]
            except httpx2.TransportError:
                return None
            names = found[0].names | found[1].names
            # A request is counted after its reply.
            return found if names >= EARLY else None

        scrapes = await until(answers, "all metrics are exposed", 90)
    live: dict[str, set[str]] = {}
    for one in scrapes:
        for sample in one.samples:
            live.setdefault(sample.name, set()).update(sample.labels)

    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known = {**await asyncio.to_thread(defined), **live, "up": set()}
    used: set[str] = set()
    for query in queries():
        labels: set[str] = set()
        for name, picked in query.metrics().items():
            if name in recorded:
                continue
            assert name in known, f"{query.where}: nothing exposes {name}"
            assert picked <= known[name] | OF_PROMETHEUS, f"{query.where}: {name}"
            labels |= known[name]
            used.add(name)
        assert query.grouped() <= labels | OF_PROMETHEUS, query.where
    assert used - set(live) - {"up"} <= RARE
    assert len(used) > 15
