"""Runs jobs as Celery tasks: one task per kind, with the job's id as the task's id."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

import structlog
from celery import Task, shared_task
from celery.exceptions import Reject
from pydantic import BaseModel

from fastapi_base.core.messaging.publisher import OUTCOME, WAITED
from fastapi_base.core.messaging.queues import task_name
from fastapi_base.db.failures import UNAVAILABLE, reason
from fastapi_base.services.jobs.context import Handler, Work
from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.services.jobs.runner import Done, Runner
from fastapi_base.tasks import apart, runtime

log = structlog.stdlib.get_logger(__name__)

HANDLERS: dict[str, Handler[Any]] = {}
# How long a worker waits before it gives a message back while the database does not answer.
PAUSE_SECONDS = 1.0


def runs[P: BaseModel](kind: Kind[P], work: Work[P]) -> None:
    """Register the handler of a kind of job with the workers."""
    HANDLERS[kind.name] = Handler(kind, work)

    @shared_task(name=task_name(kind.name), bind=True)  # type: ignore[untyped-decorator]
    def task(self: Task) -> None:
        done = _run(uuid.UUID(self.request.id), self.app.conf.include)
        setattr(self.request, OUTCOME, done.outcome)
        setattr(self.request, WAITED, done.waited)


def _run(job_id: uuid.UUID, modules: Sequence[str]) -> Done:
    try:
        done: Done = runtime.run(
            lambda database: Runner(database, runtime.settings(), HANDLERS).run(job_id)
        )
        if done.outcome == "suspect":
            done = apart.run(job_id, modules, HANDLERS)
    except UNAVAILABLE as error:
        log.warning("the database does not answer", reason=reason(error))
        # The attempt is rolled back by now, or will be. The next delivery starts it again.
        time.sleep(PAUSE_SECONDS)
        raise Reject(error.detail, requeue=True) from None
    return done
