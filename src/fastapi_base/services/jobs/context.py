"""What a handler is given."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import Settings
from fastapi_base.db.database import Database
from fastapi_base.services.jobs.kinds import Kind

Report = Callable[[int, int | None, str | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class JobContext:
    """One attempt at a job.

    What is written by `session` is committed together with the mark that the job is done, or not at
    all: so it takes effect once, however often the job is begun. What is written by transactions of
    `database` stays, and may be done again by the next attempt; keep that for steps that do no harm
    twice. The same goes for what leaves the service: `id` names it to others, as in a Message-ID.
    """

    id: uuid.UUID
    attempt: int
    owner_id: uuid.UUID | None
    session: AsyncSession
    database: Database
    settings: Settings
    report: Report

    async def progress(self, done: int, total: int | None = None, note: str | None = None) -> None:
        """Tell who watches how far it is. Call it as often as you like: few calls are written."""
        await self.report(done, total, note)


# What does the work of a kind. It is cancelled (asyncio.CancelledError) at its next await when the
# job's end is asked for, and when its time is over.
type Work[P: BaseModel] = Callable[[JobContext, P], Awaitable[BaseModel | None]]


@dataclass(frozen=True, slots=True)
class Handler[P: BaseModel]:
    """A kind and what does its work."""

    kind: Kind[P]
    work: Work[P]
