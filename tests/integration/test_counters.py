"""Metrics fed by hooks of libraries: if a hook were no longer called, they would stay zero.

Those of workers and of gunicorn's processes are checked where these are started
(tasks/test_worker_metrics.py, test_metrics.py).
"""

import asyncio
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from redis.asyncio import Redis
from sqlalchemy import text

from fastapi_base.api.observability import vitals
from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Overloaded
from fastapi_base.core.messaging.publisher import Publisher
from fastapi_base.core.messaging.queues import STEPS, Queue
from fastapi_base.core.observability import metrics, tracing
from fastapi_base.core.observability.metrics_endpoint import _Guarded
from fastapi_base.core.observability.process_metrics import ProcessCollector
from fastapi_base.core.security.passwords import PasswordHasher
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio


def value(name: str, **labels: str) -> float:
    """The value under this name; 0 before its first use."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


@dataclass(frozen=True)
class Sent:
    id: uuid.UUID
    kind: str
    queue: str
    priority: int
    request_id: str | None = None
    trace: dict[str, str] | None = None


async def test_exhausted_pool_and_its_connections_are_counted(settings: Settings) -> None:
    small = settings.database.model_copy(
        update={"pool_size": 1, "pool_overflow": 0, "pool_timeout": 0.05}
    )
    engine = create_engine(small)
    database = EngineDatabase.of(small, engine)
    hasher = PasswordHasher(settings.auth)
    before, lags = value("db_pool_timeouts_total"), value("event_loop_lag_seconds_count")
    try:
        async with vitals.watched({"primary": engine}, 7, hasher), database.read() as connection:
            await connection.execute(text("SELECT 1"))
            with pytest.raises(Overloaded):
                async with database.read():
                    pass

            async def seen() -> bool | None:
                used = value("db_pool_connections", server="primary", state="used")
                late = value("event_loop_lag_seconds_count")
                return True if used == 1 and late > lags else None

            await until(seen, "the used connection and the lag of the event loop are measured")
        assert value("db_pool_timeouts_total") == before + 1
        assert value("db_pool_limit", server="primary") == 7
    finally:
        hasher.close()
        await engine.dispose()


async def test_each_statement_and_each_redis_command_has_a_span(
    settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_provider", provider)
    engine = create_engine(settings.database)
    database = EngineDatabase.of(settings.database, engine)
    try:
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))
        async with Redis.from_url(redis_url) as client:
            tracing.watch_redis(client)
            await client.ping()
    finally:
        await engine.dispose()
    names = [span.name for span in exporter.get_finished_spans()]
    assert "SELECT" in names
    assert "PING" in names


async def test_failing_collector_is_counted() -> None:
    class Broken(Collector):
        def collect(self) -> Iterator[Metric]:
            raise RuntimeError("broken")

    registry = CollectorRegistry()
    registry.register(_Guarded(Broken()))
    before = value("metrics_collector_failures_total", collector="Broken")
    assert [*registry.collect()] == []
    assert value("metrics_collector_failures_total", collector="Broken") == before + 1


def test_open_files_of_this_process_are_counted() -> None:
    registry = CollectorRegistry()
    registry.register(ProcessCollector(lambda: [os.getpid()], lambda: []))
    assert (registry.get_sample_value("process_open_fds") or 0) > 2
    assert (registry.get_sample_value("process_resident_memory_bytes") or 0) > 2**20


async def test_queue_lists_match_celerys(settings: Settings, redis: Redis) -> None:
    def publish() -> dict[tuple[str, int], int]:
        publisher = Publisher(settings)
        try:
            kinds = [(queue, step) for queue in Queue for step in STEPS]
            messages = [
                Sent(uuid.uuid4(), "word-count", queue.value, step) for queue, step in kinds
            ]
            assert publisher.publish(messages) == []
            return publisher.waiting()
        finally:
            publisher.close()

    waiting = await asyncio.to_thread(publish)
    assert waiting == {(queue.value, step): 1 for queue in Queue for step in STEPS}
