"""The Celery application: `celery --app fastapi_base.tasks.app worker` (or `beat`)."""

import sys
from typing import Any

from celery import Celery
from celery.signals import (
    setup_logging,
    task_postrun,
    task_prerun,
    worker_process_init,
    worker_process_shutdown,
    worker_shutdown,
)

from fastapi_base.core.config import Settings, SettingsError
from fastapi_base.core.logging import configure_logging, watch_levels
from fastapi_base.core.queue import celery_app
from fastapi_base.tasks import logs, metrics, runtime, telemetry


def create_tasks_app(settings: Settings) -> Celery:
    """The application with its tasks, and with our scheduler in Beat."""
    created = celery_app("fastapi_base", settings)
    created.conf.update(
        include=["fastapi_base.tasks.handlers", "fastapi_base.tasks.heartbeat"],
        # Its schedule is in tasks/schedules.py and in PostgreSQL, not in `beat_schedule`.
        beat_scheduler="fastapi_base.tasks.beat:Scheduler",
        beat_max_loop_interval=settings.jobs.sweep_seconds,
    )
    created.set_default()

    # In this order: each begins with what the one before has named, and the line comes last.
    task_prerun.connect(logs.begin)
    telemetry.install(settings)
    task_postrun.connect(logs.end)
    if settings.metrics.port:
        metrics.measure(created, settings)
    # The first is for processes of the pool, the second for the pool that has none (solo).
    worker_process_shutdown.connect(runtime.close)
    worker_shutdown.connect(runtime.close)

    # That there is a receiver keeps Celery from setting up its own logging.
    def configure(**_: Any) -> None:
        configure_logging(settings.log, to="stdout")
        watch_levels(settings.log)

    setup_logging.connect(configure, weak=False)
    # Threads do not survive the fork of a worker's processes.
    worker_process_init.connect(lambda **_: watch_levels(settings.log), weak=False)
    return created


def _from_environment() -> Celery:
    try:
        return create_tasks_app(Settings.load())
    except SettingsError as error:
        sys.exit(f"The settings cannot be used:\n{error}")


app = _from_environment()
