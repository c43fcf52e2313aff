"""The query by which KEDA scales workers (ops/k8s) gives the seconds that the oldest job waits."""

from pathlib import Path

import asyncpg
import pytest
import yaml

pytestmark = pytest.mark.anyio

MANIFEST = Path("ops/k8s/components/keda/worker.yaml")
ADD = """
INSERT INTO jobs (id, kind, version, payload, queue, priority, max_attempts, run_at, state)
VALUES (gen_random_uuid(), 'any', 1, '{}', 'celery', 0, 1, now() + $1::text::interval, $2)
"""


def scaling_query() -> str:
    """As the manifest has it."""
    (scaler,) = [
        manifest
        for manifest in yaml.safe_load_all(MANIFEST.read_text())
        if manifest["kind"] == "ScaledObject"
    ]
    return str(scaler["spec"]["triggers"][0]["metadata"]["query"])


async def test_the_age_of_the_oldest_due_job(fresh_database_url: str) -> None:
    query = scaling_query()
    connection = await asyncpg.connect(fresh_database_url.replace("+asyncpg", ""))
    try:
        assert await connection.fetchval(query) == 0
        # Neither what is not due yet, nor what is done, nor what runs.
        await connection.execute(ADD, "1 hour", "queued")
        await connection.execute(ADD, "-1 hour", "running")
        await connection.execute(ADD, "-1 hour", "succeeded")
        assert await connection.fetchval(query) == 0
        await connection.execute(ADD, "-90 seconds", "queued")
        await connection.execute(ADD, "-30 seconds", "queued")
        age = await connection.fetchval(query)
        assert isinstance(age, float)
        assert 90 <= age < 120
    finally:
        await connection.close()
