"""A kind of job that waits until it is released, for a worker told to include it."""

import asyncio
from pathlib import Path

from pydantic import BaseModel

from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.tasks.running import runs
from tests.integration.waiting import until


class Gate(BaseModel):
    """The file that the job waits for."""

    path: str


GATE = Kind("tests-gate", Gate)


async def wait(job: JobContext, payload: Gate) -> None:
    """Wait until the file exists."""
    path = Path(payload.path)

    async def there() -> bool | None:
        return await asyncio.to_thread(path.exists) or None

    await until(there, "the file exists", 200)


runs(GATE, wait)
