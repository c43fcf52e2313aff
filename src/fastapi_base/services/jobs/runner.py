"""Runs one job: at-least-once execution, exactly-once effect.

1. Claim: mark the job as running and number the attempt; committed, so that it remains visible if
   the worker dies (deaths.py).
2. Work: one transaction, which holds the job's advisory lock from beginning to end. The handler's
   writes and the job's completion are committed together.

The lock shows that the worker is alive. It is released when the transaction ends, and so when the
worker dies in whatever way; no lease has to expire, and no clocks are compared. A second delivery
cannot take the lock while the first one works, and finds the job finished afterwards: in both cases
it does nothing.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog
from pydantic import BaseModel, ValidationError
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Float,
    SQLColumnExpression,
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

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import DomainError
from fastapi_base.core.observability import reporting
from fastapi_base.core.runtime import background
from fastapi_base.db.failures import UNAVAILABLE
from fastapi_base.db.session import Database
from fastapi_base.models.jobs.job import Job
from fastapi_base.services.jobs import deaths, ending
from fastapi_base.services.jobs.context import Handler, JobContext
from fastapi_base.services.jobs.ending import Claim
from fastapi_base.services.jobs.errors import Cancelled, GiveUp, Lost, TryLater
from fastapi_base.services.jobs.kinds import NewerPayload
from fastapi_base.services.jobs.outbox import lock_key
from fastapi_base.services.jobs.progress import Reporter
from fastapi_base.utils.statements import Statement
from fastapi_base.utils.timeouts import time_limit

log = structlog.stdlib.get_logger(__name__)

Outcome = Literal["succeeded", "retried", "failed", "cancelled", "nothing to do", "lost", "suspect"]


def _seconds_since(moment: SQLColumnExpression[datetime]) -> ColumnElement[float]:
    return cast(extract("epoch", func.now() - moment), Float)


# The claim's commit does not wait for the disk: a claim that a crash loses is made again, and the
# effect's commit comes later in the WAL and waits for everything before it.
_CLAIM = Statement(
    update(Job)
    .where(
        col(Job.id) == bindparam("job"),
        col(Job.state) == "queued",
        col(Job.run_at) <= func.now(),
        or_(~col(Job.suspect), bindparam("apart", type_=Boolean)),
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
# A handler may pause for long between two statements; its time limit ends it instead.
_OWN = text("SELECT own_job(:id, :attempt, :key)")
# During a rolling upgrade, a worker of the right release receives the job after a few deliveries.
_OTHER_RELEASE_PAUSE = 15.0
_PATIENCE_SECONDS = 86_400
# A second delivery that finds a running job whose lock is free: its worker died, unless this is the
# moment between the two steps.
_BETWEEN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome of a delivery. Times are in seconds."""

    outcome: Outcome
    kind: str = ""
    waited: float = 0
    took: float = 0


class Runner:
    """Runs jobs with the handlers registered for their kinds.

    With `on_claim` it runs in a process without other jobs, accepts suspects too, and reports each
    attempt before it does anything else.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        handlers: Mapping[str, Handler[Any]],
        on_claim: Callable[[Claim], None] | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._handlers = handlers
        self._on_claim = on_claim

    async def run(self, job_id: uuid.UUID) -> Done:
        """Run the delivered job. The outcome is `suspect` if it needs a separate process.

        Raises Unavailable or Overloaded if the database does not answer; a later delivery or the
        relay's sweep then starts the job again.
        """
        claim = await self._claim(job_id)
        if claim is None:
            return Done(await self._unclaimed(job_id))
        if self._on_claim is not None:
            self._on_claim(claim)
        start = time.perf_counter()
        outcome = await self._attempt(claim)
        took = time.perf_counter() - start
        return Done(outcome, claim.kind, max(0.0, claim.waited), took)

    async def _claim(self, job_id: uuid.UUID) -> Claim | None:
        values = {"job": job_id, "key": lock_key(job_id), "apart": self._on_claim is not None}
        rows = await self._database.run(_CLAIM, values)
        if not rows:
            return None
        return Claim(job_id, **{name: rows[0][name] for name in rows[0] if name != "lasting"})

    async def _unclaimed(self, job_id: uuid.UUID) -> Outcome:
        if self._on_claim is None and await deaths.is_suspect(self._database, job_id):
            return "suspect"
        if await deaths.recover(self._database, _BETWEEN, [job_id]):
            log.warning("the worker of an earlier delivery died")
        return "nothing to do"

    async def _attempt(self, claim: Claim) -> Outcome:
        if claim.cancelled:
            return await ending.cancelled(self._database, claim)
        handler = self._handlers.get(claim.kind)
        if handler is None:
            return await self._elsewhere(claim, f"this worker has no handler for {claim.kind}")
        try:
            payload = handler.kind.read(claim.version, claim.payload)
        except NewerPayload as error:
            return await self._elsewhere(claim, str(error))
        except ValidationError as error:
            where = [".".join(map(str, item["loc"])) for item in error.errors()]
            why = f"the payload is not valid at: {', '.join(where)}"
            return await ending.failed(self._database, claim, why)
        except Exception as error:
            return await self._again(claim, handler, error)
        # Separate, because validation errors of the work itself are not payload errors.
        try:
            await self._work(claim, handler, payload)
        except Lost:
            return "lost"
        except Cancelled:
            return await ending.cancelled(self._database, claim)
        except Exception as error:
            if _is_final(error):
                return await ending.failed(self._database, claim, str(error))
            return await self._again(claim, handler, error)
        return "succeeded"

    async def _again(self, claim: Claim, handler: Handler[Any], error: Exception) -> Outcome:
        expected = isinstance(error, (TryLater, *UNAVAILABLE))
        why = str(error) if isinstance(error, (TryLater, DomainError)) else type(error).__name__
        log.warning("job attempt failed", reason=why, exc_info=None if expected else error)
        if not expected:
            reporting.capture(error, attempt=f"{claim.attempt} of {claim.max_attempts}")
        if claim.attempt >= claim.max_attempts:
            return await ending.failed(self._database, claim, why)
        pause = handler.kind.pause(claim.attempt)
        return await ending.again(self._database, claim, why, pause)

    async def _elsewhere(self, claim: Claim, why: str) -> Outcome:
        """Leave the job to workers of another release; after a day, fail it."""
        if claim.age > _PATIENCE_SECONDS:
            return await ending.failed(self._database, claim, why)
        return await ending.again(self._database, claim, why, _OTHER_RELEASE_PAUSE, counts=False)

    async def _work(self, claim: Claim, handler: Handler[Any], payload: BaseModel) -> None:
        seconds = handler.kind.time_limit or self._settings.celery.task_soft_time_limit
        reporter = Reporter(self._database, claim)
        async with (
            self._ended_on_request(claim),
            time_limit(seconds, TryLater("it took too long")),
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
        """Cancel the block when the job's cancellation is requested, and raise Cancelled."""
        task = asyncio.current_task()
        assert task
        requested = False

        async def watch() -> None:
            nonlocal requested
            await ending.cancellation_requested(self._database, claim)
            requested = True
            task.cancel()

        watcher = asyncio.create_task(background.supervised("job-cancellation", watch))
        try:
            yield
        except asyncio.CancelledError:
            if not requested:
                raise
            raise Cancelled from None
        finally:
            watcher.cancel()
            if requested:
                # Also if the work finished first: what follows must not be cancelled.
                task.uncancel()


def _is_final(error: Exception) -> bool:
    """Whether a later attempt would fail too: the handler or a domain error says so."""
    if isinstance(error, UNAVAILABLE):
        return False
    return isinstance(error, (GiveUp, DomainError))
