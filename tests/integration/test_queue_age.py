"""KEDA's scaling query (ops/deploy/k8s) returns how many seconds the oldest job has waited."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
import yaml

pytestmark = pytest.mark.anyio

MANIFEST = Path("ops/deploy/k8s/components/keda/worker.yaml")
ADD = """
INSERT INTO jobs
    (id, kind, version, payload, queue, priority, max_attempts, run_at, state, published_at)
SELECT gen_random_uuid(), 'any', 1, '{}', 'celery', 0, 1, now() + $1::text::interval, $2,
    $3::timestamptz
FROM generate_series(1, $4)
"""


def scaling_query() -> str:
    """The query in the manifest."""
    (scaler,) = [
        manifest
        for manifest in yaml.safe_load_all(MANIFEST.read_text())
        if manifest["kind"] == "ScaledObject"
    ]
    return str(scaler["spec"]["triggers"][0]["metadata"]["query"])


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(fresh_database_url.replace("+asyncpg", ""))
    yield opened
    await opened.close()


async def add(
    connection: asyncpg.Connection, when: str, state: str, *, published: bool = False, many: int = 1
) -> None:
    """Add this many jobs, due at this offset from now."""
    moment = datetime.now(UTC) if published else None
    await connection.execute(ADD, when, state, moment, many)


async def test_query_returns_the_age_of_the_oldest_due_job(connection: asyncpg.Connection) -> None:
    query = scaling_query()
    assert await connection.fetchval(query) == 0
    # Neither future nor finished nor running jobs count.
    await add(connection, "1 hour", "queued")
    await add(connection, "-1 hour", "running", published=True)
    await add(connection, "-1 hour", "succeeded", published=True)
    assert await connection.fetchval(query) == 0
    await add(connection, "-90 seconds", "queued")
    await add(connection, "-30 seconds", "queued", published=True)
    age = await connection.fetchval(query)
    assert isinstance(age, float)
    assert 90 <= age < 120
    await add(connection, "-200 seconds", "queued", published=True)
    assert 200 <= await connection.fetchval(query) < 230


async def test_finished_jobs_are_not_read(connection: asyncpg.Connection) -> None:
    await add(connection, "-1 day", "succeeded", published=True, many=20_000)
    for published in (False, True):
        await add(connection, "-1 minute", "queued", published=published, many=100)
    await connection.execute("ANALYZE jobs")
    plan = [row[0] for row in await connection.fetch(f"EXPLAIN {scaling_query()}")]
    assert not [line for line in plan if "Seq Scan" in line], plan
