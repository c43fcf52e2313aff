"""Nothing, done as a job and as a task of Celery alone, for workers that include this module."""

from celery import shared_task
from pydantic import BaseModel

from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.tasks.running import runs


class Nothing(BaseModel):
    """What is to be done."""


JOB = Kind("bench-nothing", Nothing)
TASK = "bench.nothing"


async def nothing(job: JobContext, payload: Nothing) -> None:
    """The job."""


@shared_task(name=TASK)  # type: ignore[untyped-decorator]
def nothing_of_celery() -> None:
    """The task."""


runs(JOB, nothing)
