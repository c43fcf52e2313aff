"""Traces and error reports of workers, started in each of their processes."""

from contextlib import AbstractContextManager
from typing import Any

import structlog
from celery import Task
from celery.concurrency.thread import TaskPool as Threads
from celery.signals import (
    task_failure,
    task_postrun,
    task_prerun,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
)

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import DomainError
from fastapi_base.core.observability import reporting, tracing

_CARRIED = ("traceparent", "tracestate")


def install(settings: Settings) -> None:
    """Install the configured telemetry, and nothing else."""
    if settings.tracing.endpoint is None and settings.sentry.dsn is None:
        return

    def start(**_: Any) -> None:
        tracing.start(settings, "fastapi-base-worker")
        reporting.start(settings)

    def stop(**_: Any) -> None:
        # Celery ends its processes without Python's normal exit.
        tracing.stop()
        reporting.stop()

    def start_here(sender: Any, **_: Any) -> None:
        # In the threads pool no process signals its start.
        if isinstance(sender.pool, Threads):
            start()

    worker_process_init.connect(start, weak=False)
    worker_ready.connect(start_here, weak=False)
    worker_process_shutdown.connect(stop, weak=False)
    # The pool without processes (solo) only signals the worker's start.
    worker_shutdown.connect(stop, weak=False)
    if settings.tracing.endpoint is not None:
        task_prerun.connect(_begin)
        task_postrun.connect(_end)
    if settings.sentry.dsn is not None:
        task_failure.connect(_report)


def _begin(task_id: str, task: Task, **_: Any) -> None:
    carried = {name: getattr(task.request, name, None) for name in _CARRIED}
    span: AbstractContextManager[None] = tracing.working(
        task.name, task_id, {name: value for name, value in carried.items() if value}
    )
    span.__enter__()
    task.request.span = span
    if found := tracing.trace_id():
        structlog.contextvars.bind_contextvars(trace_id=found)


def _end(task: Task, **_: Any) -> None:
    task.request.span.__exit__(None, None, None)


def _report(exception: BaseException, **_: Any) -> None:
    # Domain errors are expected results; services/jobs handles those of jobs.
    if not isinstance(exception, DomainError):
        reporting.capture(exception)
