"""Progress of a running job, for observers."""

import time

from sqlalchemy import update
from sqlmodel import col

from fastapi_base.db.failures import UNAVAILABLE
from fastapi_base.db.session import Database
from fastapi_base.models.jobs.job import Job
from fastapi_base.services.jobs.ending import Claim

NOT_MORE_OFTEN_THAN = 0.25


class Reporter:
    """Writes the progress of one attempt in separate transactions, a few times per second."""

    def __init__(self, database: Database, claim: Claim) -> None:
        self._database = database
        self._claim = claim
        self._next = 0.0

    async def report(self, done: int, total: int | None, note: str | None) -> None:
        """See JobContext.progress. A report that cannot be written is dropped."""
        if time.monotonic() < self._next and done != total:
            return
        self._next = time.monotonic() + NOT_MORE_OFTEN_THAN
        progress = {"done": done, "total": total, "note": note}
        statement = (
            update(Job)
            .where(
                col(Job.id) == self._claim.id,
                col(Job.state) == "running",
                col(Job.attempt) == self._claim.attempt,
            )
            .values(progress=progress)
        )
        try:
            async with self._database.transaction() as session:
                await session.exec(statement)
        except UNAVAILABLE:
            return
