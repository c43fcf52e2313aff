"""The relay's queries: which jobs to publish, and which the broker lost.

Safe with any number of relays: they skip rows that another one has locked.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import TextClause, text
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.db.session import Database


@dataclass(frozen=True, slots=True)
class Message:
    """The message that the broker receives for a job. The payload stays in the database."""

    id: uuid.UUID
    kind: str
    queue: str
    priority: int
    request_id: str | None
    trace: Mapping[str, str] | None = None


# The condition of the partial index over queue, priority and time: the claim reads no other row.
WAITING = "state = 'queued' AND published_at IS NULL AND NOT suspect"
_IN_ORDER = """
    (order_key IS NULL OR NOT EXISTS (
        SELECT FROM jobs AS earlier
        WHERE earlier.order_key = due.order_key AND earlier.seq < due.seq
            AND earlier.state IN ('queued', 'running')
    ))
"""
# All queues and priorities with waiting jobs, found by one index step each (loose index scan).
CLASSES = f"""
    classes AS (
        (SELECT queue, priority FROM jobs WHERE {WAITING} ORDER BY queue, priority LIMIT 1)
        UNION ALL
        SELECT following.queue, following.priority FROM classes, LATERAL (
            SELECT queue, priority FROM jobs
            WHERE {WAITING} AND (queue, priority) > (classes.queue, classes.priority)
            ORDER BY queue, priority LIMIT 1
        ) AS following
    )
"""  # noqa: S608  parts of our own
# Marked before the broker receives them: otherwise workers would wait for the relay's locks. If a
# relay dies in between, republish() finds the jobs that nobody started.
_MARKED = """
    UPDATE jobs SET published_at = now(), publishes = publishes + 1, urgency = {urgency}
    WHERE id = ANY(ARRAY(SELECT id FROM chosen))
    RETURNING id, kind, queue, urgency, request_id, trace, seq
"""
# The broker holds few jobs of each queue and priority at a time, so that a more urgent one that
# arrives later has little ahead of it, and no queue blocks another.
_TAKE = text(f"""
    WITH RECURSIVE {CLASSES}, published AS (
        SELECT queue, coalesce(urgency, priority) AS priority, count(*) AS jobs FROM jobs
        WHERE state = 'queued' AND published_at IS NOT NULL AND NOT suspect GROUP BY 1, 2
    ), chosen AS (
        SELECT oldest.id FROM classes LEFT JOIN published USING (queue, priority), LATERAL (
            SELECT id FROM jobs AS due
            WHERE queue = classes.queue AND priority = classes.priority
                AND {WAITING} AND run_at <= now() AND {_IN_ORDER}
            ORDER BY run_at, seq
            LIMIT least(:batch, greatest(:window - coalesce(published.jobs, 0), 0))
            FOR UPDATE SKIP LOCKED
        ) AS oldest
    ) {_MARKED.format(urgency="priority")}
""")  # noqa: S608  parts of our own
# The broker ignores age, so urgent jobs could starve the others. Therefore a few jobs that have
# waited long are published as urgent.
_TAKE_OLD = text(f"""
    WITH RECURSIVE {CLASSES}, published AS (
        SELECT queue, count(*) AS jobs FROM jobs
        WHERE state = 'queued' AND published_at IS NOT NULL AND NOT suspect AND urgency < priority
        GROUP BY queue
    ), chosen AS (
        SELECT id FROM (
            SELECT oldest.id, coalesce(published.jobs, 0)
                + row_number() OVER (PARTITION BY classes.queue ORDER BY oldest.run_at) AS place
            FROM classes LEFT JOIN published USING (queue), LATERAL (
                SELECT id, run_at FROM jobs AS due
                WHERE queue = classes.queue AND priority = classes.priority AND priority > 0
                    AND {WAITING} AND run_at <= now() - CAST(:patience AS interval)
                    AND {_IN_ORDER}
                ORDER BY run_at, seq LIMIT :share FOR UPDATE SKIP LOCKED
            ) AS oldest
        ) AS ranked WHERE place <= :share
    ) {_MARKED.format(urgency="0")}
""")  # noqa: S608  parts of our own
# A separate process costs more than a job: only a few run at a time, so that others proceed.
_TAKE_SUSPECTS = text(f"""
    WITH active AS (
        SELECT queue, count(*) AS jobs FROM jobs
        WHERE suspect AND (state = 'running' OR (state = 'queued' AND published_at IS NOT NULL))
        GROUP BY queue
    ), waiting AS (
        SELECT DISTINCT queue FROM jobs
        WHERE suspect AND state = 'queued' AND published_at IS NULL
    ), chosen AS (
        SELECT oldest.id FROM waiting LEFT JOIN active USING (queue), LATERAL (
            SELECT id FROM jobs AS due
            WHERE queue = waiting.queue AND suspect AND state = 'queued' AND published_at IS NULL
                AND run_at <= now() AND {_IN_ORDER}
            ORDER BY priority, run_at, seq LIMIT greatest(:apart - coalesce(active.jobs, 0), 0)
            FOR UPDATE SKIP LOCKED
        ) AS oldest
    ) {_MARKED.format(urgency="priority")}
""")  # noqa: S608  parts of our own
_GIVE_BACK = text("""
    UPDATE jobs SET published_at = NULL, publishes = publishes - 1
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'queued'
""")
# The lease doubles with each publication. A list is FIFO: if N messages wait in it, those are the
# last N published, and earlier ones were lost.
_REPUBLISH = text("""
    WITH waiting AS (
        SELECT * FROM unnest(
            CAST(:queues AS text[]), CAST(:steps AS integer[]), CAST(:lengths AS integer[])
        ) AS lists (queue, step, length)
    ), published AS (
        SELECT id, queue, step, published_at, publishes,
            row_number() OVER (PARTITION BY queue, step ORDER BY published_at DESC) AS place
        FROM (
            SELECT id, queue, coalesce(urgency, priority) / 3 * 3 AS step, published_at, publishes
            FROM jobs WHERE state = 'queued' AND published_at IS NOT NULL
        ) AS stepped
    )
    UPDATE jobs SET published_at = NULL WHERE state = 'queued' AND id = ANY(ARRAY(
        SELECT id FROM published LEFT JOIN waiting USING (queue, step)
        WHERE place > coalesce(length, 0)
            AND published_at <= now() - CAST(:lease AS interval) * 2 ^ LEAST(publishes - 1, 8)
        LIMIT :batch
    ))
""")
_REPUBLISH_ALL = text("""
    UPDATE jobs SET published_at = NULL
    WHERE state = 'queued' AND published_at IS NOT NULL
""")
_PRUNE = text("""
    DELETE FROM jobs WHERE id IN (
        SELECT id FROM jobs
        WHERE state = ANY(CAST(:states AS text[])) AND finished_at < now() - CAST(:keep AS interval)
            AND (unique_key IS NULL OR unique_until < now())
        LIMIT :batch FOR UPDATE SKIP LOCKED
    ) RETURNING id
""")
# A job that has been due for this long may go before more urgent ones, ...
PATIENCE = timedelta(seconds=60)
# ... and takes one in this many places of a queue's window.
_SHARE = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits per queue.

    `batch`: jobs that one take() marks per priority. `window`: jobs that the broker holds per
    priority. `apart`: jobs that run in separate processes.
    """

    batch: int
    window: int
    apart: int


def lock_key(job_id: uuid.UUID) -> int:
    """The key of a job's advisory lock: the last 64 bits of its id, as a signed integer."""
    return int.from_bytes(job_id.bytes[8:], signed=True)


async def take(database: Database, limits: Limits, patience: timedelta = PATIENCE) -> list[Message]:
    """Due jobs, marked as published, most urgent first.

    The caller must publish them or give them back.
    """
    share = max(1, limits.window // _SHARE)
    async with database.transaction() as session:
        rows = [
            *await execute(session, _TAKE_SUSPECTS, apart=limits.apart),
            *await execute(session, _TAKE_OLD, patience=patience, share=share),
            *await execute(session, _TAKE, batch=limits.batch, window=limits.window),
        ]
    rows.sort(key=lambda row: (row.urgency, row.seq))
    return [
        Message(row.id, row.kind, row.queue, row.urgency, row.request_id, row.trace) for row in rows
    ]


async def give_back(database: Database, ids: Sequence[uuid.UUID]) -> None:
    """Unmark jobs that the broker did not receive."""
    async with database.transaction() as session:
        await execute(session, _GIVE_BACK, ids=list(ids))


async def republish(
    database: Database,
    lease: timedelta,
    batch: int,
    waiting: Mapping[tuple[str, int], int] | None = None,
) -> int:
    """Requeue published jobs that no worker started within the lease. Returns their number.

    `waiting` is the number of messages that the broker holds per queue and priority step: that many
    are still on their way.
    """
    lists = waiting or {}
    async with database.transaction() as session:
        done = await execute(
            session,
            _REPUBLISH,
            lease=lease,
            batch=batch,
            queues=[queue for queue, _ in lists],
            steps=[step for _, step in lists],
            lengths=list(lists.values()),
        )
        return int(done.rowcount)


async def republish_all(database: Database) -> int:
    """Requeue every published job that no worker started: the broker lost its data."""
    async with database.transaction() as session:
        return int((await execute(session, _REPUBLISH_ALL)).rowcount)


async def prune(database: Database, keep_done: timedelta, keep: timedelta, batch: int) -> int:
    """Remove finished jobs: dead letters after `keep`, others after `keep_done`."""
    # By state, as in the index, so that rows with longer retention are not scanned repeatedly.
    total = 0
    for states, age in ((["failed"], keep), (["succeeded", "cancelled"], keep_done)):
        gone = batch
        while gone == batch:
            async with database.transaction() as session:
                found = await execute(session, _PRUNE, states=states, keep=age, batch=batch)
                gone = len(found.all())
            total += gone
    return total


async def execute(session: AsyncSession, statement: TextClause, **values: object) -> Any:
    """Execute the statement with these values."""
    connection = await session.connection()
    return await connection.execute(statement, values)
