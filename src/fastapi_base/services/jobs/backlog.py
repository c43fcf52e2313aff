"""How many jobs are not over, how long they wait, and how late schedules are."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

# Each part reads the partial index of its own, however many jobs are over.
_COUNT = text("""
    WITH unfinished AS (
        SELECT queue, run_at, CASE WHEN run_at > now() THEN 'delayed' ELSE 'due' END AS state
        FROM jobs WHERE state = 'queued' AND published_at IS NULL
        UNION ALL
        SELECT queue, run_at, 'due' FROM jobs WHERE state = 'queued' AND published_at IS NOT NULL
        UNION ALL
        SELECT queue, run_at, 'running' FROM jobs WHERE state = 'running'
    )
    SELECT queue, state, count(*) AS jobs,
        greatest(extract(epoch FROM now() - min(run_at)), 0)::float8 AS oldest
    FROM unfinished GROUP BY queue, state
""")
_LATE = text("""
    SELECT name, greatest(extract(epoch FROM now() - next_at), 0)::float8 AS late
    FROM schedules WHERE enabled AND name = ANY(:names) ORDER BY name
""")


async def count(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """Queue, state (`delayed`, `due`, `running`), how many jobs those are, and for how many seconds
    the oldest of them has been due."""
    return (await connection.execute(_COUNT)).all()


async def late(connection: AsyncConnection, names: Collection[str]) -> Sequence[Row[Any]]:
    """Of these schedules those that are enabled, and for how many seconds they have been due.

    Those that only other releases know are nobody's to fire.
    """
    return (await connection.execute(_LATE, {"names": list(names)})).all()
