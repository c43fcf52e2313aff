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
    worker_shutting_down,
)

from fastapi_base.core import emails
from fastapi_base.core.config import Settings, SettingsError
from fastapi_base.core.config.notices import log_notices
from fastapi_base.core.messaging.publisher import celery_app
from fastapi_base.core.observability.logging import configure_logging, watch_levels
from fastapi_base.tasks import apart, logs, metrics, runtime, stopping, supervising, telemetry


def create_tasks_app(settings: Settings) -> Celery:
    """The application with its tasks, and with this project's scheduler in Beat."""
    # Jobs read e-mail addresses too: all programs must agree on which are valid.
    emails.allow_special_domains(settings.auth.email_allow_special_domains)
    created = celery_app("fastapi_base", settings)
    created.conf.update(
        include=["fastapi_base.tasks.handlers", "fastapi_base.tasks.heartbeat"],
        # Schedules are in tasks/schedules.py and PostgreSQL, not in `beat_schedule`.
        beat_scheduler="fastapi_base.tasks.beat:Scheduler",
        beat_max_loop_interval=settings.jobs.sweep_seconds,
        worker_consumer="fastapi_base.tasks.consumer:Consumer",
    )
    created.set_default()
    supervising.install()

    # The order matters: each uses names that the previous one binds, and the log line comes last.
    task_prerun.connect(logs.begin)
    telemetry.install(settings)
    task_postrun.connect(logs.end)
    if settings.metrics.port:
        metrics.measure(created, settings)
    # The first is for processes of the pool, the second for the pool without processes (solo).
    for ending in (worker_process_shutdown, worker_shutdown):
        ending.connect(apart.close)
        ending.connect(runtime.close)
    worker_shutting_down.connect(stopping.excuse)

    # A connected receiver keeps Celery from configuring logging itself.
    def configure(**_: Any) -> None:
        configure_logging(settings.log, to="stdout")
        log_notices(settings)
        watch_levels(settings.log)

    setup_logging.connect(configure, weak=False)
    # Threads do not survive the fork of a worker's processes.
    worker_process_init.connect(lambda **_: watch_levels(settings.log), weak=False)
    return created


def _from_environment() -> Celery:
    try:
        return create_tasks_app(runtime.settings())
    except SettingsError as error:
        sys.exit(f"The settings cannot be used:\n{error}")


app = _from_environment()
