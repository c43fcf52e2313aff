"""Streams changes of jobs, in whichever process handles the request."""

import asyncio
import contextlib
import hashlib
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator

from sqlalchemy.ext.asyncio import AsyncEngine

from fastapi_base.core.runtime import drain
from fastapi_base.db.listen import listen
from fastapi_base.db.session import Database
from fastapi_base.models.jobs.job import EVENTS
from fastapi_base.schemas.jobs.job import JobRead
from fastapi_base.services.jobs import queries
from fastapi_base.utils.timeouts import occurs

# The polling interval if nothing is heard, and the maximum duration of one stream.
POLL_SECONDS = 2.0
LONGEST_SECONDS = 900.0
FINISHED = frozenset({"succeeded", "failed", "cancelled"})


class Watch:
    """Reports changes of jobs. Listens on one connection, from the first watcher on.

    Without an engine to listen on (PgBouncer) it polls every POLL_SECONDS.
    """

    def __init__(self, database: Database, engine: AsyncEngine | None) -> None:
        self._database = database
        self._engine = engine
        self._watchers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._listening: asyncio.Task[None] | None = None

    async def changes(
        self, job_id: uuid.UUID, owner: uuid.UUID | None, seen: str | None
    ) -> AsyncIterator[JobRead | None]:
        """Yields the job now, unless it is the version `seen`, and then each change.

        Yields None while nothing changes. Ends when the job is finished, and after a time limit:
        without any event if the job is finished and `seen`. Raises NotFound.
        """
        end = time.monotonic() + LONGEST_SECONDS
        with self._events(str(job_id)) as changed:
            while True:
                changed.clear()
                async with self._database.read() as connection:
                    job = await queries.get(connection, job_id, owner)
                now, finished = version(job), job.status in FINISHED
                if now != seen:
                    yield job
                elif not finished:
                    yield None
                seen = now
                if finished or drain.started():
                    return
                await occurs(changed, POLL_SECONDS)
                if time.monotonic() >= end or drain.started():
                    return

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    @contextlib.contextmanager
    def _events(self, job_id: str) -> Iterator[asyncio.Event]:
        if self._listening is None and self._engine is not None:
            self._listening = asyncio.create_task(listen(self._engine, EVENTS, self._heard))
        changed = asyncio.Event()
        self._watchers[job_id].add(changed)
        try:
            yield changed
        finally:
            self._watchers[job_id].discard(changed)
            if not self._watchers[job_id]:
                del self._watchers[job_id]

    def _heard(self, job_id: str | None) -> None:
        whose = self._watchers.values() if job_id is None else [self._watchers.get(job_id, set())]
        for events in whose:
            for changed in events:
                changed.set()


def version(job: JobRead) -> str:
    """A string that identifies the job's state, the same in every process."""
    return hashlib.sha256(job.model_dump_json().encode()).hexdigest()[:16]
