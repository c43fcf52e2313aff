"""What workers measure: tasks by name and outcome, and the queue."""

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
from redis.exceptions import RedisError

from fastapi_base.core import metrics
from fastapi_base.core.config import Settings
from fastapi_base.core.metrics_endpoint import MetricsEndpoint, MetricsPortTaken
from fastapi_base.core.queue import OUTCOME
from fastapi_base.core.queues import Queue
from fastapi_base.core.redis import create_blocking_redis
from fastapi_base.tasks.job_metrics import JobCollector

# The lists in which Celery on Redis keeps a queue, by priority.
_STEPS = (0, 3, 6, 9)

TASKS = metrics.histogram(
    "task_duration_seconds",
    "Seconds that a task ran, by how it ended",
    "task",
    "state",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
RUNNING = metrics.gauge("tasks_running", "Tasks that run now")
LOST = metrics.counter(
    "tasks_lost", "Tasks whose process ended under them: killed, or out of time", "task"
)


def measure(app: Celery, settings: Settings) -> None:
    """Measure tasks, and answer Prometheus from the worker's first process on."""
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

    # Celery may tell twice of one: that its time is over, and that its process is gone.
    told: deque[str] = deque(maxlen=100)

    def lost(sender: Task, task_id: str, exception: BaseException, **_: Any) -> None:
        # A task that fails by itself tells of an error of its own.
        if isinstance(exception, (WorkerLostError, TimeLimitExceeded)) and task_id not in told:
            told.append(task_id)
            LOST.child(sender.name).inc()

    class Watched(Request):  # type: ignore[misc]
        """Celery gives a task whose process was killed back, and tells nobody."""

        def on_failure(self, exc_info: Any, *args: Any, **how: Any) -> Any:
            error = exc_info.exception
            error = getattr(error, "exc", error)
            if isinstance(error, WorkerLostError):
                lost(self.task, self.id, error)
            return super().on_failure(exc_info, *args, **how)

    def name_all(**_: Any) -> None:
        # What begins at 1 has not grown, in Prometheus' eyes.
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
    # Celery calls a task well done whose job is to be tried again.
    outcome = getattr(task.request, OUTCOME, None) or str(state).lower()
    TASKS.child(task.name, outcome).observe(seconds)


class QueueCollector(Collector):
    """How many messages wait, asked of Redis at each scrape; nothing while it does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._redis = create_blocking_redis(settings.redis)

    def collect(self) -> Iterator[Metric]:
        """The length of each queue, of all its priorities."""
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for queue in Queue:
                    for step in _STEPS:
                        pipeline.llen(f"{queue}\x06\x16{step}" if step else queue)
                lengths = pipeline.execute()
        except (RedisError, OSError):
            return
        family = GaugeMetricFamily("queue_messages", "Messages that wait", labels=["queue"])
        for number, queue in enumerate(Queue):
            mine = lengths[number * len(_STEPS) : (number + 1) * len(_STEPS)]
            family.add_metric([queue], float(sum(mine)))
        yield family
