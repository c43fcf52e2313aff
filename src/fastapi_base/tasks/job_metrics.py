"""A worker's metrics of unfinished jobs and of schedules, whichever worker will run them."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Row

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Unavailable
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.db.failures import UNAVAILABLE
from fastapi_base.db.session import opened
from fastapi_base.services.jobs import backlog
from fastapi_base.tasks.schedules import schedules
from fastapi_base.utils.timeouts import time_limit

STATES = ("delayed", "due", "running")
# The minimum interval between queries in seconds, however often the metrics are scraped.
NOT_MORE_OFTEN_THAN = 5.0
# A scrape must leave time for the other metrics.
PATIENCE_SECONDS = 3.0


class JobCollector(Collector):
    """Queries PostgreSQL on each scrape; reports nothing while it does not answer."""

    def __init__(self, settings: Settings, pause: float = NOT_MORE_OFTEN_THAN) -> None:
        self._settings, self._tls = settings.database, settings.tls
        self._schedules = [schedule.name for schedule in schedules(settings)]
        self._pause = pause
        self._found: tuple[Sequence[Row[Any]], Sequence[Row[Any]]] | None = None
        self._next = 0.0

    def collect(self) -> Iterator[Metric]:
        """Jobs by queue and state, age of the oldest due job per queue, lateness of schedules."""
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
        jobs = GaugeMetricFamily("jobs_unfinished", "Unfinished jobs", labels=["queue", "state"])
        for labels, value in counts.items():
            jobs.add_metric(labels, value)
        yield jobs
        oldest = GaugeMetricFamily(
            "jobs_oldest_due_seconds", "How long the oldest due job has been due", labels=["queue"]
        )
        for queue, age in ages.items():
            oldest.add_metric([queue], age)
        yield oldest
        behind = GaugeMetricFamily(
            "schedule_late_seconds",
            "How long a schedule has been overdue because no Beat processed it",
            labels=["schedule"],
        )
        seconds = dict.fromkeys(self._schedules, 0.0) | {row.name: row.late for row in late}
        for name, value in seconds.items():
            behind.add_metric([name], value)
        yield behind

    async def _ask(self) -> tuple[Sequence[Row[Any]], Sequence[Row[Any]]] | None:
        # A connection for one use: processes forked from here would inherit a persistent one.
        late = Unavailable(f"the database did not answer in {PATIENCE_SECONDS:g} s")
        try:
            async with (
                opened(self._settings, "fastapi-base-metrics", self._tls) as database,
                time_limit(PATIENCE_SECONDS, late),
                database.read() as connection,
            ):
                jobs = await backlog.count(connection)
                return jobs, await backlog.late(connection, self._schedules)
        except UNAVAILABLE:
            return None
