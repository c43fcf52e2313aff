"""Runs one job: at least once begun, at most once in effect.

1. Claim: the row says that the job runs, and which attempt it is; committed, so that a job that
   kills its worker is counted.
2. Work: in one transaction, which holds the job's advisory lock from its beginning to its end. What
   the handler writes and the mark that the job is done are committed together.

The lock is the sign of life. It goes when the transaction ends, and so when the worker dies, in
whatever way; no lease has to run out, and no clock is compared. A second delivery does not get the
lock while the first one works, and finds the mark afterwards: either way it does nothing. One that
comes in between the two steps makes a new attempt, and the mark of the old one fails.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import structlog
from pydantic import BaseModel, ValidationError
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    SQLColumnExpression,
    and_,
    bindparam,
    cast,
    extract,
    func,
    or_,
    text,
    update,
)
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core import reporting
from fastapi_base.core.config import Settings
from fastapi_base.core.errors import DomainError, Overloaded, Unavailable
from fastapi_base.db.database import Database
from fastapi_base.models.job import Job
from fastapi_base.services.jobs import ending
from fastapi_base.services.jobs.context import Handler, JobContext
from fastapi_base.services.jobs.ending import Claim
from fastapi_base.services.jobs.errors import Cancelled, GiveUp, Lost, TryLater
from fastapi_base.services.jobs.kinds import NewerPayload
from fastapi_base.services.jobs.outbox import lock_key
from fastapi_base.services.jobs.progress import Reporter
from fastapi_base.utils.statements import Statement

log = structlog.stdlib.get_logger(__name__)

Outcome = Literal["succeeded", "retried", "failed", "cancelled", "nothing to do", "lost"]


def _seconds_since(moment: SQLColumnExpression[datetime]) -> ColumnElement[float]:
    return cast(extract("epoch", func.now() - moment), Float)


# Its commit waits for no disk: a claim that a crash takes back is made again, and the one of the
# effect, which comes later in the log, waits for all before it.
_CLAIM = Statement(
    update(Job)
    .where(
        col(Job.id) == bindparam("job"),
        or_(
            col(Job.state) == "running",
            and_(col(Job.state) == "queued", col(Job.run_at) <= func.now()),
        ),
        func.pg_try_advisory_xact_lock(bindparam("key", type_=BigInteger)),
    )
    .values(state="running", attempt=col(Job.attempt) + 1, started_at=func.now(), progress=None)
    .returning(
        col(Job.kind),
        col(Job.version),
        col(Job.payload),
        col(Job.owner_id),
        col(Job.order_key),
        col(Job.attempt),
        col(Job.max_attempts),
        col(Job.cancel_requested_at).is_not(None).label("cancelled"),
        _seconds_since(col(Job.run_at)).label("waited"),
        _seconds_since(col(Job.created_at)).label("age"),
        func.set_config("synchronous_commit", "off", True).label("lasting"),
    )
)
# A handler may think for long between two statements; its time limit ends it instead.
_OWN = text("SELECT own_job(:id, :attempt, :key)")
# While releases of both ages run, one of the right age comes by in a few deliveries.
_OTHER_RELEASE_PAUSE = 15.0
_PATIENCE_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a delivery. Times are in seconds."""

    outcome: Outcome
    kind: str = ""
    waited: float = 0
    took: float = 0


class Runner:
    """Runs jobs by their handlers, which are found by the name of the kind."""

    def __init__(
        self, database: Database, settings: Settings, handlers: Mapping[str, Handler[Any]]
    ) -> None:
        self._database = database
        self._settings = settings
        self._handlers = handlers

    async def run(self, job_id: uuid.UUID) -> Done:
        """Do what a delivery asks for. Raises Unavailable and Overloaded when the database does not
        answer; the job is then begun again, by a later delivery or by the relay's sweep."""
        claim = await self._claim(job_id)
        if claim is None:
            return Done("nothing to do")
        start = time.perf_counter()
        outcome = await self._attempt(claim)
        took = time.perf_counter() - start
        return Done(outcome, claim.kind, max(0.0, claim.waited), took)

    async def _claim(self, job_id: uuid.UUID) -> Claim | None:
        rows = await self._database.run(_CLAIM, {"job": job_id, "key": lock_key(job_id)})
        if not rows:
            return None
        return Claim(job_id, **{name: rows[0][name] for name in rows[0] if name != "lasting"})

    async def _attempt(self, claim: Claim) -> Outcome:
        if claim.cancelled:
            return await ending.cancelled(self._database, claim)
        if claim.attempt > claim.max_attempts:
            # Whoever began it last did not live to say what was wrong.
            return await ending.failed(self._database, claim, "the worker died")
        handler = self._handlers.get(claim.kind)
        if handler is None:
            return await self._elsewhere(claim, f"no worker here knows {claim.kind}")
        try:
            payload = handler.kind.read(claim.version, claim.payload)
            await self._work(claim, handler, payload)
        except Lost:
            return "lost"
        except Cancelled:
            return await ending.cancelled(self._database, claim)
        except NewerPayload as error:
            return await self._elsewhere(claim, str(error))
        except ValidationError as error:
            where = [".".join(map(str, item["loc"])) for item in error.errors()]
            why = f"the payload is not valid at: {', '.join(where)}"
            return await ending.failed(self._database, claim, why)
        except Exception as error:
            if _is_final(error):
                return await ending.failed(self._database, claim, str(error))
            return await self._again(claim, handler, error)
        return "succeeded"

    async def _again(self, claim: Claim, handler: Handler[Any], error: Exception) -> Outcome:
        expected = isinstance(error, (TryLater, Unavailable, Overloaded, TimeoutError))
        why = str(error) if isinstance(error, (TryLater, DomainError)) else type(error).__name__
        if isinstance(error, TimeoutError) and not str(error):
            why = "it took too long"
        log.warning("job attempt failed", reason=why, exc_info=None if expected else error)
        if not expected:
            reporting.capture(error, attempt=f"{claim.attempt} of {claim.max_attempts}")
        if claim.attempt >= claim.max_attempts:
            return await ending.failed(self._database, claim, why)
        pause = handler.kind.pause(claim.attempt)
        return await ending.again(self._database, claim, why, pause)

    async def _elsewhere(self, claim: Claim, why: str) -> Outcome:
        """Leave the job to a worker of another release, for a day: then there is none."""
        if claim.age > _PATIENCE_SECONDS:
            return await ending.failed(self._database, claim, why)
        return await ending.again(self._database, claim, why, _OTHER_RELEASE_PAUSE, counts=False)

    async def _work(self, claim: Claim, handler: Handler[Any], payload: BaseModel) -> None:
        seconds = handler.kind.time_limit or self._settings.celery.task_soft_time_limit
        reporter = Reporter(self._database, claim)
        async with (
            self._ended_on_request(claim),
            asyncio.timeout(seconds),
            self._database.transaction() as session,
        ):
            await self._own(session, claim)
            context = JobContext(
                id=claim.id,
                attempt=claim.attempt,
                owner_id=claim.owner_id,
                session=session,
                database=self._database,
                settings=self._settings,
                report=reporter.report,
            )
            result = await handler.work(context, payload)
            await ending.succeeded(session, claim, result, private=handler.kind.private)

    async def _own(self, session: AsyncSession, claim: Claim) -> None:
        connection = await session.connection()
        values = {"id": claim.id, "attempt": claim.attempt, "key": lock_key(claim.id)}
        if not await connection.scalar(_OWN, values):
            raise Lost

    @contextlib.asynccontextmanager
    async def _ended_on_request(self, claim: Claim) -> AsyncIterator[None]:
        """Cancel what runs inside when the job's end is asked for, and raise Cancelled."""
        task = asyncio.current_task()
        assert task
        asked = False

        async def watch() -> None:
            nonlocal asked
            await ending.end_asked_for(self._database, claim)
            asked = True
            task.cancel()

        watcher = asyncio.create_task(watch())
        try:
            yield
        except asyncio.CancelledError:
            if not asked:
                raise
            raise Cancelled from None
        finally:
            watcher.cancel()
            if asked:
                # Also when the work was over first: what comes next is not to be cancelled.
                task.uncancel()


def _is_final(error: Exception) -> bool:
    """Whether a later attempt would fail too: the handler says so, or a rule of the domain does."""
    if isinstance(error, (Unavailable, Overloaded)):
        return False
    return isinstance(error, (GiveUp, DomainError))
