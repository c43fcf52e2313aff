"""How jobs come along, as it happens, in whichever process the caller's request runs."""

import asyncio
import contextlib
import hashlib
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator

from sqlalchemy.ext.asyncio import AsyncEngine

from fastapi_base.core import drain
from fastapi_base.db.database import Database
from fastapi_base.db.listen import listen
from fastapi_base.models.job import EVENTS
from fastapi_base.schemas.job import JobRead
from fastapi_base.services.jobs import queries

# How often a job is looked at when nothing is heard, and how long one stream lasts at most.
POLL_SECONDS = 2.0
LONGEST_SECONDS = 900.0
OVER = frozenset({"succeeded", "failed", "cancelled"})


class Watch:
    """Tells of changes of jobs. Listens with one connection, from the first watcher on.

    Without an engine to listen by (PgBouncer) it looks every POLL_SECONDS.
    """

    def __init__(self, database: Database, engine: AsyncEngine | None) -> None:
        self._database = database
        self._engine = engine
        self._told: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._listening: asyncio.Task[None] | None = None

    async def changes(
        self, job_id: uuid.UUID, owner: uuid.UUID | None, seen: str | None
    ) -> AsyncIterator[JobRead | None]:
        """The job as it is now, unless that was `seen`, and then whenever it changes; None while
        nothing does. Ends when the job is over, and after a while. Raises NotFound."""
        end = time.monotonic() + LONGEST_SECONDS
        with self._events(str(job_id)) as told:
            while time.monotonic() < end and not drain.begun():
                told.clear()
                async with self._database.read() as connection:
                    job = await queries.get(connection, job_id, owner)
                now = version(job)
                yield None if now == seen else job
                seen = now
                if job.status in OVER:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await told.wait()

    async def close(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    @contextlib.contextmanager
    def _events(self, job_id: str) -> Iterator[asyncio.Event]:
        if self._listening is None and self._engine is not None:
            self._listening = asyncio.create_task(listen(self._engine, EVENTS, self._heard))
        told = asyncio.Event()
        self._told[job_id].add(told)
        try:
            yield told
        finally:
            self._told[job_id].discard(told)
            if not self._told[job_id]:
                del self._told[job_id]

    def _heard(self, job_id: str | None) -> None:
        whose = self._told.values() if job_id is None else [self._told.get(job_id, set())]
        for events in whose:
            for told in events:
                told.set()


def version(job: JobRead) -> str:
    """A text that tells one state of the job from another, the same in every process."""
    return hashlib.sha256(job.model_dump_json().encode()).hexdigest()[:16]
