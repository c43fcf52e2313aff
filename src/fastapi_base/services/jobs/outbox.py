"""What the relay asks the database: which jobs to publish, and which were lost on the way.

Safe with any number of relays: rows that one of them holds are skipped by the others.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import TextClause, text
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.db.database import Database


@dataclass(frozen=True, slots=True)
class Message:
    """What the broker is told of a job. What the job is about stays in the database."""

    id: uuid.UUID
    kind: str
    queue: str
    priority: int
    request_id: str | None
    trace: Mapping[str, str] | None = None


# Marked before the broker has it: were it the other way, workers would wait for the relay's locks.
# A relay that dies in between leaves jobs that nobody begins, which republish() finds.
_TAKE = text("""
    UPDATE jobs SET published_at = now(), publishes = publishes + 1 WHERE id IN (
        SELECT id FROM jobs AS due
        WHERE state = 'queued' AND published_at IS NULL AND run_at <= now()
            AND (order_key IS NULL OR NOT EXISTS (
                SELECT FROM jobs AS earlier
                WHERE earlier.order_key = due.order_key AND earlier.seq < due.seq
                    AND earlier.state IN ('queued', 'running')
            ))
        ORDER BY run_at, seq LIMIT :batch FOR UPDATE SKIP LOCKED
    ) RETURNING id, kind, queue, priority, request_id, trace, seq
""")
_GIVE_BACK = text("""
    UPDATE jobs SET published_at = NULL, publishes = publishes - 1
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'queued'
""")
# Each time twice as long: a long queue is not a lost one.
_REPUBLISH = text("""
    UPDATE jobs SET published_at = NULL WHERE id IN (
        SELECT id FROM jobs WHERE state = 'queued'
            AND published_at <= now() - CAST(:lease AS interval) * 2 ^ LEAST(publishes - 1, 8)
        LIMIT :batch FOR UPDATE SKIP LOCKED
    )
""")
_REPUBLISH_ALL = text("""
    UPDATE jobs SET published_at = NULL
    WHERE state = 'queued' AND published_at IS NOT NULL
""")
_RUNNING = text("""
    SELECT id FROM jobs WHERE state = 'running' AND started_at < now() - CAST(:grace AS interval)
""")
# A worker holds its job's lock for as long as it lives; see runner.py.
_HELD = text("""
    SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")
_RECOVER = text("""
    UPDATE jobs SET state = 'queued', published_at = NULL, publishes = 0
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'running'
        AND started_at < now() - CAST(:grace AS interval)
    RETURNING id
""")
_PRUNE = text("""
    DELETE FROM jobs WHERE id IN (
        SELECT id FROM jobs
        WHERE finished_at < now() - CASE state WHEN 'failed' THEN CAST(:keep AS interval)
                ELSE CAST(:keep_done AS interval) END
            AND (unique_key IS NULL OR unique_until < now())
        LIMIT :batch FOR UPDATE SKIP LOCKED
    ) RETURNING id
""")
# Between the moment in which a worker claims a job and that in which it holds the lock.
GRACE = timedelta(seconds=5)


def lock_key(job_id: uuid.UUID) -> int:
    """The number of a job's advisory lock: the 62 random bits of its id, as PostgreSQL counts."""
    return int.from_bytes(job_id.bytes[8:], signed=True)


async def take(database: Database, batch: int) -> list[Message]:
    """Jobs that are due, in order, marked as published. They must reach the broker, or go back."""
    async with database.transaction() as session:
        rows = (await _execute(session, _TAKE, batch=batch)).all()
    rows = sorted(rows, key=lambda row: row.seq)
    return [
        Message(row.id, row.kind, row.queue, row.priority, row.request_id, row.trace)
        for row in rows
    ]


async def give_back(database: Database, ids: Sequence[uuid.UUID]) -> None:
    """Take the mark away from jobs that the broker did not get."""
    async with database.transaction() as session:
        await _execute(session, _GIVE_BACK, ids=list(ids))


async def republish(database: Database, lease: timedelta, batch: int) -> int:
    """Have jobs published again that no worker began within the lease; how many."""
    async with database.transaction() as session:
        return int((await _execute(session, _REPUBLISH, lease=lease, batch=batch)).rowcount)


async def republish_all(database: Database) -> int:
    """Have every job published again that no worker began: the broker lost what it had."""
    async with database.transaction() as session:
        return int((await _execute(session, _REPUBLISH_ALL)).rowcount)


async def recover(database: Database, grace: timedelta = GRACE) -> list[uuid.UUID]:
    """Queue jobs again whose worker died; their ids."""
    async with database.transaction() as session:
        running = (await _execute(session, _RUNNING, grace=grace)).scalars().all()
        if not running:
            return []
        held = set((await _execute(session, _HELD)).scalars().all())
        orphans = [job_id for job_id in running if lock_key(job_id) not in held]
        if not orphans:
            return []
        found = await _execute(session, _RECOVER, ids=orphans, grace=grace)
        return list(found.scalars().all())


async def prune(database: Database, keep_done: timedelta, keep: timedelta, batch: int) -> int:
    """Remove finished jobs: those that failed for good after `keep`, others after `keep_done`."""
    total = 0
    while True:
        async with database.transaction() as session:
            found = await _execute(session, _PRUNE, keep=keep, keep_done=keep_done, batch=batch)
            gone = found.all()
        total += len(gone)
        if len(gone) < batch:
            return total


async def _execute(session: AsyncSession, statement: TextClause, **values: object) -> Any:
    connection = await session.connection()
    return await connection.execute(statement, values)
