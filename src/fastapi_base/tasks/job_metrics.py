"""What a worker tells of the jobs that are not over, and of schedules, whoever will see to them."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Row

from fastapi_base.core.config import Settings
from fastapi_base.core.queues import Queue
from fastapi_base.db.database import EngineDatabase
from fastapi_base.db.engine import create_engine
from fastapi_base.db.failures import AWAY
from fastapi_base.services.jobs import backlog
from fastapi_base.tasks.schedules import schedules

STATES = ("delayed", "due", "running")
# However often it is scraped, and by whom: the database is asked no more often.
NOT_MORE_OFTEN_THAN = 5.0
# A scrape must be over in time for what it has besides.
PATIENCE_SECONDS = 3.0


class JobCollector(Collector):
    """Asks PostgreSQL at a scrape; tells nothing while it does not answer."""

    def __init__(self, settings: Settings, pause: float = NOT_MORE_OFTEN_THAN) -> None:
        self._settings = settings.database
        self._schedules = [schedule.name for schedule in schedules(settings)]
        self._pause = pause
        self._found: tuple[Sequence[Row[Any]], Sequence[Row[Any]]] | None = None
        self._next = 0.0

    def collect(self) -> Iterator[Metric]:
        """Jobs by queue and state, the age of the oldest that is due in each queue, and how late
        schedules are."""
        if time.monotonic() >= self._next:
            self._found = asyncio.run(self._ask())
            self._next = time.monotonic() + self._pause
        if self._found is None:
            return
        unfinished, late = self._found
        counts: dict[tuple[str, str], float] = {(q, s): 0.0 for q in Queue for s in STATES}
        ages: dict[str, float] = dict.fromkeys(Queue, 0.0)
        for row in unfinished:
            counts[row.queue, row.state] = row.jobs
            if row.state == "due":
                ages[row.queue] = row.oldest
        jobs = GaugeMetricFamily("jobs_unfinished", "Jobs not over", labels=["queue", "state"])
        for labels, value in counts.items():
            jobs.add_metric(labels, value)
        yield jobs
        oldest = GaugeMetricFamily(
            "jobs_oldest_due_seconds", "Seconds that the oldest due job waits", labels=["queue"]
        )
        for queue, age in ages.items():
            oldest.add_metric([queue], age)
        yield oldest
        behind = GaugeMetricFamily(
            "schedule_late_seconds", "Seconds since a schedule is due", labels=["schedule"]
        )
        seconds = dict.fromkeys(self._schedules, 0.0) | {row.name: row.late for row in late}
        for name, value in seconds.items():
            behind.add_metric([name], value)
        yield behind

    async def _ask(self) -> tuple[Sequence[Row[Any]], Sequence[Row[Any]]] | None:
        # A connection for once: one that is kept would be inherited by processes forked from here.
        engine = create_engine(self._settings, "fastapi-base-metrics")
        database = EngineDatabase.of(self._settings, engine)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), database.read() as connection:
                jobs = await backlog.count(connection)
                return jobs, await backlog.late(connection, self._schedules)
        except AWAY:
            return None
        finally:
            await engine.dispose()
