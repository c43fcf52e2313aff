"""Kinds of job with countable effects, for workers that are told to include this module."""

import asyncio
import os
import random
import signal
from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import text

from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.tasks.running import runs


class Mark(BaseModel):
    """The payload of a job that writes a row."""


class Poison(BaseModel):
    """The payload of a job that kills its process."""


class Tick(BaseModel):
    """One moment of a schedule."""

    schedule: int
    due: datetime


# No constraint prevents two rows of one job.
TABLE = "CREATE TABLE chaos_effects (job_id uuid NOT NULL)"
MARK = Kind("chaos-mark", Mark, attempts=50, first_pause=0.5, longest_pause=2)

# Fails after three processes, so that a run ends.
POISON = Kind("chaos-poison", Poison, attempts=3, first_pause=0.5, longest_pause=2)
TICK = Kind("chaos-tick", Tick, attempts=50, first_pause=0.5, longest_pause=2)


async def mark(job: JobContext, payload: Mark) -> None:
    """Write one row, with pauses before and after it in which to be killed."""
    pause = random.uniform(0, 0.01)  # noqa: S311
    await asyncio.sleep(pause)
    connection = await job.session.connection()
    await connection.execute(text("INSERT INTO chaos_effects VALUES (:id)"), {"id": job.id})
    await asyncio.sleep(pause)


async def poison(job: JobContext, payload: Poison) -> None:
    """End like a process that the kernel kills for its memory use."""
    os.kill(os.getpid(), signal.SIGKILL)


async def tick(job: JobContext, payload: Tick) -> None:
    """Do nothing: the jobs themselves are counted."""


runs(MARK, mark)
runs(POISON, poison)
runs(TICK, tick)
