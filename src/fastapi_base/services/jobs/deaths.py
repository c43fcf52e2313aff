"""Recovery of jobs whose process died.

That a job ran in a process that died does not prove that it caused the death. Therefore a death
does not count as an attempt: it makes the job a suspect, which runs again in a separate process,
watched by a witness (tasks/apart.py). If that process dies, the job caused it, and the attempt
counts.

If the witness dies too, as in the failure of a whole machine, nothing is proven either. Such deaths
are counted separately, and a job with many more of them than attempts fails: otherwise a job that
kills every process that watches it would run forever.
"""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import structlog
from sqlalchemy import text
from sqlmodel import col

from fastapi_base.db.session import Database
from fastapi_base.models.jobs.job import ERROR_LENGTH, Job
from fastapi_base.services.jobs import ending
from fastapi_base.services.jobs.ending import Claim
from fastapi_base.services.jobs.outbox import execute, lock_key

log = structlog.stdlib.get_logger(__name__)

# The time between a worker's claim of a job and its lock on it.
GRACE = timedelta(seconds=5)
# The number of unwitnessed deaths per allowed attempt.
UNSEEN = 4
# If this many jobs of a kind ended their own processes, or were in processes that died while none
# of the kind succeeds, all jobs of the kind run apart ...
CRASHING = 3
# ... until the last of them has been finished for this long.
REMEMBERED = timedelta(minutes=10)

_RUNNING = text("""
    SELECT id FROM jobs WHERE state = 'running' AND started_at < now() - CAST(:grace AS interval)
        AND (CAST(:only AS uuid[]) IS NULL OR id = ANY(CAST(:only AS uuid[])))
""")
# A worker holds its job's lock for as long as it lives; see runner.py.
_HELD = text("""
    SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")
_WHOSE_WORKER_DIED = """
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'running'
        AND started_at < now() - CAST(:grace AS interval)
"""
_GIVE_UP = text(f"""
    UPDATE jobs SET state = 'failed', finished_at = clock_timestamp(), error = 'the worker died',
        unique_key = CASE WHEN unique_until IS NOT NULL THEN unique_key END
    {_WHOSE_WORKER_DIED} AND deaths >= :unseen * max_attempts
    RETURNING id
""")  # noqa: S608  parts of our own
_RECOVER = text(f"""
    UPDATE jobs SET state = 'queued', published_at = NULL, publishes = 0,
        attempt = greatest(attempt - 1, 0), deaths = deaths + 1, suspect = suspect OR deaths >= 0
    {_WHOSE_WORKER_DIED}
    RETURNING id
""")  # noqa: S608  parts of our own
_EXCUSE = text("""
    UPDATE jobs SET deaths = -1
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'running' AND deaths = 0
""")
# For kinds with no success among the latest jobs, suspicion is enough: otherwise each of their jobs
# could kill one process before one of them is known to be the cause.
_KINDS = text("""
    SELECT kind FROM jobs
    WHERE (deaths > 0 OR crashes > 0) AND state <> 'succeeded'
        AND coalesce(finished_at, now()) > now() - CAST(:remembered AS interval)
    GROUP BY kind HAVING count(*) FILTER (WHERE crashes > 0) >= :crashing
        OR (count(*) >= :crashing AND kind NOT IN (
            SELECT kind FROM (
                SELECT kind, state FROM jobs WHERE finished_at IS NOT NULL
                ORDER BY finished_at DESC LIMIT 1000
            ) AS latest WHERE state = 'succeeded'
        ))
""")
_SUSPECT = text("""
    UPDATE jobs SET suspect = true, published_at = NULL WHERE id IN (
        SELECT id FROM jobs
        WHERE state = 'queued' AND NOT suspect AND kind = ANY(CAST(:kinds AS text[]))
        FOR UPDATE SKIP LOCKED
    )
""")
_IS_SUSPECT = text("""
    SELECT true FROM jobs
    WHERE id = :id AND suspect AND state = 'queued' AND published_at IS NOT NULL
        AND run_at <= now()
""")


async def recover(
    database: Database, grace: timedelta = GRACE, only: Sequence[uuid.UUID] | None = None
) -> list[uuid.UUID]:
    """Requeue jobs whose worker died, all or only these; returns their ids."""
    async with database.transaction() as session:
        these = None if only is None else list(only)
        running = (await execute(session, _RUNNING, grace=grace, only=these)).scalars().all()
        if not running:
            return []
        held = set((await execute(session, _HELD)).scalars().all())
        orphans = [job_id for job_id in running if lock_key(job_id) not in held]
        if not orphans:
            return []
        given_up = await execute(session, _GIVE_UP, ids=orphans, grace=grace, unseen=UNSEEN)
        if lost := [str(job_id) for job_id in given_up.scalars()]:
            log.warning("jobs given up: their workers died repeatedly", jobs=lost)
            await ending.wake_relays(session)
        found = await execute(session, _RECOVER, ids=orphans, grace=grace)
        return list(found.scalars().all())


async def excuse(database: Database, ids: Sequence[uuid.UUID]) -> None:
    """Disregard the next death of these running jobs: their worker is shutting down."""
    async with database.transaction() as session:
        await execute(session, _EXCUSE, ids=list(ids))


async def crashing_kinds(database: Database) -> list[str]:
    """The kinds of which several jobs ended processes recently, or appear to have."""
    async with database.transaction() as session:
        found = await execute(session, _KINDS, remembered=REMEMBERED, crashing=CRASHING)
        return list(found.scalars().all())


async def suspect(database: Database, kinds: Sequence[str]) -> int:
    """Mark all queued jobs of these kinds to run apart. Returns the number of new suspects."""
    async with database.transaction() as session:
        return int((await execute(session, _SUSPECT, kinds=list(kinds))).rowcount)


async def is_suspect(database: Database, job_id: uuid.UUID) -> bool:
    """Whether the job is due, published and must run in a separate process."""
    async with database.read() as connection:
        return bool(await connection.scalar(_IS_SUSPECT, {"id": job_id}))


async def crashed(
    database: Database, claim: Claim, why: str, pause: float
) -> Literal["retried", "failed"] | None:
    """Count an attempt that ended its own process.

    Returns `retried`, `failed`, or None if PostgreSQL still holds its lock or the job ended in
    another way.
    """
    log.warning("job ended its process", reason=why, attempt=claim.attempt)
    fatal = claim.attempt >= claim.max_attempts
    values = {
        "suspect": True,
        "crashes": col(Job.crashes) + 1,
        "error": f"the worker died: {why}"[:ERROR_LENGTH],
    }
    values |= ending.finished("failed") if fatal else ending.queued(pause)
    async with database.transaction() as session:
        if not await ending.change(session, claim, values):
            return None
        await ending.wake_relays(session)
    return "failed" if fatal else "retried"
