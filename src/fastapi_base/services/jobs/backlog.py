"""The number and age of unfinished jobs, and the lateness of schedules."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fastapi_base.services.jobs.outbox import CLASSES, WAITING

# At most this many jobs are counted per queue, priority and state: the answer must fit into a
# scrape even with millions of jobs.
MOST = 100_000
# For one queue and priority, in the order of the index from which relays take jobs.
_SOME = f"""
    LATERAL (SELECT count(*) AS jobs, min(run_at) AS first FROM (
        SELECT run_at FROM jobs
        WHERE queue = classes.queue AND priority = classes.priority AND {WAITING}
            AND run_at {{when}} now()
        ORDER BY run_at LIMIT :most
    ) AS oldest) AS counted
"""  # noqa: S608  parts of our own
# Each part reads its own partial index, independent of the number of finished jobs.
_COUNT = text(f"""
    WITH RECURSIVE {CLASSES}, unfinished AS (
        SELECT queue, 'due' AS state, jobs, first FROM classes, {_SOME.format(when="<=")}
        UNION ALL
        SELECT queue, 'delayed', jobs, first FROM classes, {_SOME.format(when=">")}
        UNION ALL
        SELECT queue, CASE WHEN run_at > now() THEN 'delayed' ELSE 'due' END, 1, run_at
        FROM (
            SELECT queue, run_at FROM jobs
            WHERE suspect AND state IN ('queued', 'running')
                AND state = 'queued' AND published_at IS NULL
            LIMIT :most
        ) AS suspects
        UNION ALL
        SELECT queue, 'due', 1, run_at FROM jobs
        WHERE state = 'queued' AND published_at IS NOT NULL
        UNION ALL
        SELECT queue, 'running', 1, run_at FROM jobs WHERE state = 'running'
    )
    SELECT queue, state, sum(jobs)::bigint AS jobs,
        greatest(extract(epoch FROM now() - min(first)), 0)::float8 AS oldest
    FROM unfinished WHERE jobs > 0 GROUP BY queue, state
""")  # noqa: S608  parts of our own
_LATE = text("""
    SELECT name, greatest(extract(epoch FROM now() - next_at), 0)::float8 AS late
    FROM schedules WHERE enabled AND name = ANY(:names) ORDER BY name
""")


async def count(connection: AsyncConnection, most: int = MOST) -> Sequence[Row[Any]]:
    """Queue, state (`delayed`, `due`, `running`), number of jobs, and age of the oldest.

    The age is the seconds for which the oldest job has been due. Per queue and priority, at most
    `most` waiting jobs are counted in each state.
    """
    return (await connection.execute(_COUNT, {"most": most})).all()


async def late(connection: AsyncConnection, names: Collection[str]) -> Sequence[Row[Any]]:
    """The enabled ones of these schedules, with the seconds for which they have been due.

    Schedules that only other releases declare are excluded: no Beat of this release fires them.
    """
    return (await connection.execute(_LATE, {"names": list(names)})).all()
