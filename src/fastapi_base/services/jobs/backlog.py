"""How many jobs are not over, and how long they wait."""

from collections.abc import Sequence
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


async def count(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """Queue, state (`delayed`, `due`, `running`), how many jobs those are, and for how many seconds
    the oldest of them has been due."""
    return (await connection.execute(_COUNT)).all()
