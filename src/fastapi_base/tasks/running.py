"""Runs jobs as Celery tasks: one task for each kind, whose id is the job's."""

import time
import uuid
from typing import Any

import structlog
from celery import Task, shared_task
from celery.exceptions import Reject
from pydantic import BaseModel

from fastapi_base.core.errors import Overloaded, Unavailable
from fastapi_base.core.queue import OUTCOME, WAITED
from fastapi_base.core.queues import task_name
from fastapi_base.services.jobs.context import Handler, Work
from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.services.jobs.runner import Done, Runner
from fastapi_base.tasks import runtime

log = structlog.stdlib.get_logger(__name__)

HANDLERS: dict[str, Handler[Any]] = {}
# How long a worker whose database does not answer waits before it gives the message back.
PAUSE_SECONDS = 1.0


def runs[P: BaseModel](kind: Kind[P], work: Work[P]) -> None:
    """Have workers do the work of jobs of this kind."""
    HANDLERS[kind.name] = Handler(kind, work)

    @shared_task(name=task_name(kind.name), bind=True)  # type: ignore[untyped-decorator]
    def task(self: Task) -> None:
        done = _run(uuid.UUID(self.request.id))
        setattr(self.request, OUTCOME, done.outcome)
        setattr(self.request, WAITED, done.waited)


def _run(job_id: uuid.UUID) -> Done:
    try:
        done: Done = runtime.run(
            lambda database: Runner(database, runtime.settings(), HANDLERS).run(job_id)
        )
    except (Unavailable, Overloaded) as error:
        log.warning("the database does not answer", reason=error.detail)
        # Whatever was begun is rolled back by now, or will be. The next delivery begins it again.
        time.sleep(PAUSE_SECONDS)
        raise Reject(error.detail, requeue=True) from None
    return done
