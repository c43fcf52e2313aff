"""The context that a handler receives."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import Settings
from fastapi_base.db.session import Database
from fastapi_base.services.jobs.kinds import Kind

Report = Callable[[int, int | None, str | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class JobContext:
    """One attempt at a job.

    Writes through `session` are committed together with the job's completion, or not at all: the
    effect is exactly-once, however often the job is attempted. Writes in transactions of `database`
    persist, and the next attempt may repeat them; use those for idempotent steps only. The same
    applies to external side effects: `id` identifies the job there, for example in a Message-ID.
    """

    id: uuid.UUID
    attempt: int
    owner_id: uuid.UUID | None
    session: AsyncSession
    database: Database
    settings: Settings
    report: Report

    async def progress(self, done: int, total: int | None = None, note: str | None = None) -> None:
        """Report progress to observers. Calls are cheap: few of them are written."""
        await self.report(done, total, note)


# The work of a kind. It is cancelled (asyncio.CancelledError) at its next await if the job is
# cancelled or exceeds its time limit.
type Work[P: BaseModel] = Callable[[JobContext, P], Awaitable[BaseModel | None]]


@dataclass(frozen=True, slots=True)
class Handler[P: BaseModel]:
    """A kind and the function that does its work."""

    kind: Kind[P]
    work: Work[P]
