"""A no-op as a job and as a plain Celery task, for workers that include this module."""

from celery import shared_task
from pydantic import BaseModel

from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.tasks.running import runs


class EmptyPayload(BaseModel):
    """The empty payload."""


JOB = Kind("bench-nothing", EmptyPayload)
TASK = "bench.nothing"


async def nothing(job: JobContext, payload: EmptyPayload) -> None:
    """The no-op job."""


@shared_task(name=TASK)  # type: ignore[untyped-decorator]
def nothing_of_celery() -> None:
    """The no-op Celery task."""


runs(JOB, nothing)
