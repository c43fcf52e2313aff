"""Metrics of workers: tasks by name and outcome, and the queue."""

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from celery import Celery, Task
from celery.exceptions import TimeLimitExceeded, WorkerLostError
from celery.signals import (
    task_failure,
    task_postrun,
    task_prerun,
    worker_init,
    worker_ready,
    worker_shutdown,
)
from celery.worker.request import Request
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Unavailable
from fastapi_base.core.messaging.publisher import OUTCOME, lengths
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.core.messaging.redis import create_blocking_redis
from fastapi_base.core.observability import metrics
from fastapi_base.core.observability.metrics_endpoint import MetricsEndpoint, MetricsPortTaken
from fastapi_base.tasks.job_metrics import JobCollector

TASKS = metrics.histogram(
    "task_duration_seconds",
    "Duration of tasks",
    "task",
    "state",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
RUNNING = metrics.gauge("tasks_running", "Tasks running now")
LOST = metrics.counter(
    "tasks_lost", "Tasks whose process ended while they ran: killed, or out of time", "task"
)


def measure(app: Celery, settings: Settings) -> None:
    """Measure tasks, and serve metrics to Prometheus from the worker's first process."""
    state: dict[str, MetricsEndpoint] = {}

    def start(**_: Any) -> None:
        try:
            state["endpoint"] = endpoint = MetricsEndpoint(
                settings, QueueCollector(settings), JobCollector(settings)
            )
        except MetricsPortTaken as error:
            raise SystemExit(str(error)) from None
        endpoint.serve()

    def stop(**_: Any) -> None:
        if "endpoint" in state:
            state["endpoint"].close()

    # Celery may report a task twice: that its time limit was exceeded, and that its process is
    # gone.
    counted: deque[str] = deque(maxlen=100)

    def lost(sender: Task, task_id: str, exception: BaseException, **_: Any) -> None:
        # A task that fails by itself raises another error.
        if isinstance(exception, (WorkerLostError, TimeLimitExceeded)) and task_id not in counted:
            counted.append(task_id)
            LOST.child(sender.name).inc()

    class Watched(Request):  # type: ignore[misc]
        """Celery requeues a task whose process was killed, and sends no signal."""

        def on_failure(self, exc_info: Any, *args: Any, **how: Any) -> Any:
            error = exc_info.exception
            error = getattr(error, "exc", error)
            if isinstance(error, WorkerLostError):
                lost(self.task, self.id, error)
            return super().on_failure(exc_info, *args, **how)

    def name_all(**_: Any) -> None:
        # Prometheus sees no increase in a counter that starts at 1.
        for name in app.tasks:
            if not name.startswith("celery."):
                LOST.child(name)

    app.Task.Request = Watched
    worker_ready.connect(name_all, weak=False)
    worker_init.connect(start, weak=False)
    worker_shutdown.connect(stop, weak=False)
    task_prerun.connect(_begin)
    task_postrun.connect(_end)
    task_failure.connect(lost, weak=False)


def _begin(task: Task, **_: Any) -> None:
    task.request.measured_from = time.perf_counter()
    RUNNING.child().inc()


def _end(task: Task, state: str | None, **_: Any) -> None:
    RUNNING.child().dec()
    seconds = time.perf_counter() - task.request.measured_from
    # Celery reports success for a task whose job will be retried.
    outcome = getattr(task.request, OUTCOME, None) or str(state).lower()
    TASKS.child(task.name, outcome).observe(seconds)


class QueueCollector(Collector):
    """The number of waiting messages, read from Redis on each scrape; nothing while it is down."""

    def __init__(self, settings: Settings) -> None:
        self._redis = create_blocking_redis(settings.redis, settings.tls)

    def collect(self) -> Iterator[Metric]:
        """The length of each queue, over all priorities."""
        try:
            waiting = lengths(self._redis)
        except Unavailable:
            return
        family = GaugeMetricFamily(
            "queue_messages", "Tasks waiting at the broker", labels=["queue"]
        )
        for queue in Queue:
            mine = [count for (name, _), count in waiting.items() if name == queue]
            family.add_metric([queue], float(sum(mine)))
        yield family
