"""Workers' log lines about tasks: never arguments or results, which belong to callers."""

import time
from typing import Any

import structlog
from celery import Task

from fastapi_base.core.messaging.publisher import OUTCOME, REQUEST_ID_HEADER, WAITED

log = structlog.stdlib.get_logger("fastapi_base.tasks")


def begin(task_id: str, task: Task, **_: Any) -> None:
    """Bind the task, and the id of the request that enqueued it, to all following log lines."""
    request_id = getattr(task.request, REQUEST_ID_HEADER, None)
    structlog.contextvars.bind_contextvars(
        task=task.name, task_id=task_id, **({"request_id": request_id} if request_id else {})
    )
    task.request.started = time.perf_counter()


def end(task: Task, state: str, **_: Any) -> None:
    """Log the end of the task and its state; Celery logs the error of a failed one."""
    seconds = time.perf_counter() - task.request.started
    job: dict[str, Any] = {}
    if outcome := getattr(task.request, OUTCOME, None):
        waited: float = getattr(task.request, WAITED, 0.0)
        job = {"outcome": outcome, "waited_milliseconds": round(waited * 1000, 1)}
    log.info("task ended", state=state, milliseconds=round(seconds * 1000, 1), **job)
    structlog.contextvars.clear_contextvars()
