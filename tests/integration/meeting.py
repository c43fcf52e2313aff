"""A kind of job that completes only while others of it run, for a worker told to include it."""

import asyncio

from pydantic import BaseModel
from sqlalchemy import text

from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.tasks.running import runs


class Meeting(BaseModel):
    """How many jobs have to meet."""

    people: int


MEETING = Kind("tests-meeting", Meeting)
_PRESENT = text("SELECT count(*) FROM jobs WHERE kind = 'tests-meeting' AND state <> 'queued'")


async def meet(job: JobContext, payload: Meeting) -> Meeting:
    """Wait for the other jobs."""
    while True:
        async with job.database.read() as connection:
            present = int(await connection.scalar(_PRESENT) or 0)
        await job.progress(present, payload.people)
        if present >= payload.people:
            return Meeting(people=present)
        await asyncio.sleep(0.05)


runs(MEETING, meet)
