"""Kinds of job whose effects can be counted, for workers that are told to include this module."""

import asyncio
import random
from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import text

from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.tasks.running import runs


class Mark(BaseModel):
    """A row is to be written."""


class Tick(BaseModel):
    """One moment of a schedule."""

    schedule: int
    due: datetime


# Nothing keeps two rows of one job out.
TABLE = "CREATE TABLE chaos_effects (job_id uuid NOT NULL)"
MARK = Kind("chaos-mark", Mark, attempts=50, first_pause=0.5, longest_pause=2)

TICK = Kind("chaos-tick", Tick, attempts=50, first_pause=0.5, longest_pause=2)


async def mark(job: JobContext, payload: Mark) -> None:
    """Write one row, with time before and after it in which to be killed."""
    pause = random.uniform(0, 0.01)  # noqa: S311
    await asyncio.sleep(pause)
    connection = await job.session.connection()
    await connection.execute(text("INSERT INTO chaos_effects VALUES (:id)"), {"id": job.id})
    await asyncio.sleep(pause)


async def tick(job: JobContext, payload: Tick) -> None:
    """Nothing: each job is counted."""


runs(MARK, mark)
runs(TICK, tick)
