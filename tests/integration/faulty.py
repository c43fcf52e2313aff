"""Jobs and tasks that fail, for a worker that is told to include them."""

import asyncio

from celery import shared_task
from pydantic import BaseModel

from fastapi_base.core.errors import Conflict, Unavailable
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.errors import GiveUp, TryLater
from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.tasks.running import runs

BROKEN_TASK, REFUSED_TASK = "tests.broken", "tests.refused"
SECRETS = ("hunter2", "ada@example.com", "ada's own words")


class Note(BaseModel):
    """A payload that is never sent."""

    text: str = SECRETS[2]


FAILURES: dict[str, Exception] = {
    "gives-up": GiveUp("no later attempt would do better"),
    "refused": Conflict("there is one already"),
    "tries-later": TryLater("not now"),
}
EXPECTED = {name: Kind(f"tests-{name}", Note, attempts=1) for name in FAILURES}
EXPECTED["takes-too-long"] = Kind("tests-takes-too-long", Note, attempts=1, time_limit=0.1)
BROKEN = Kind("tests-broken", Note, attempts=1)


async def _breaks(job: JobContext, payload: Note) -> None:
    password = SECRETS[0]
    raise RuntimeError(f"no luck with {SECRETS[1]}, Bearer {password}")


async def _sleeps(job: JobContext, payload: Note) -> None:
    await asyncio.sleep(60)


def _fails(name: str) -> None:
    async def fail(job: JobContext, payload: Note) -> None:
        raise FAILURES[name]

    runs(EXPECTED[name], fail)


runs(BROKEN, _breaks)
runs(EXPECTED["takes-too-long"], _sleeps)
for _name in FAILURES:
    _fails(_name)


@shared_task(name=BROKEN_TASK)  # type: ignore[untyped-decorator]
def broken(text: str) -> None:
    """Fail in an unexpected way."""
    raise LookupError(f"password={SECRETS[0]}")


@shared_task(name=REFUSED_TASK)  # type: ignore[untyped-decorator]
def refused() -> None:
    """Fail by a domain rule."""
    raise Unavailable("the database does not answer")
