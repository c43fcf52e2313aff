"""Memory use of an export of many rows: `python -m ops.measure.bench.items_export [ROWS]`.

A throwaway PostgreSQL, one API process, one reader. It prints the API's resident memory before the
export and the peak during it, and fails if that grew by more than LIMIT_MB: memory use must not
depend on the number of rows.
"""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import asyncpg
import httpx2
import psutil
import typer

from fastapi_base.migrations import runner
from ops.dev import guard, places, postgres
from ops.dev.redis import Redis

LIMIT_MB = 40.0
ROWS = 1_000_000
EMAIL, PASSWORD = "bench@example.com", "correct horse battery staple"
FILL = """
INSERT INTO items (id, owner_id, title, description)
SELECT gen_random_uuid(), (SELECT id FROM users), 'item ' || n, repeat('x', 100)
FROM generate_series(1, $1::int) n
"""


def megabytes(process: psutil.Process) -> float:
    """The resident memory of a process."""
    return float(process.memory_info().rss) / 1e6


async def _wait(url: str) -> None:
    deadline = time.monotonic() + 60
    async with httpx2.AsyncClient() as client:
        while True:
            try:
                if (await client.get(f"{url}/health/live")).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError("the API is not up after 60 s")
            await asyncio.sleep(0.1)


async def measure(url: str, database: str, server: psutil.Process, rows: int) -> None:
    """Insert the rows, export once, and report."""
    await _wait(url)
    async with httpx2.AsyncClient(base_url=f"{url}/api/v1", timeout=600) as client:
        await client.post("/auth/register", json={"email": EMAIL, "password": PASSWORD})
        login = await client.post("/auth/login", data={"username": EMAIL, "password": PASSWORD})
        client.headers["Authorization"] = (
            f"Bearer {login.raise_for_status().json()['access_token']}"
        )
        connection = await asyncpg.connect(database)
        await connection.execute(FILL, rows)
        await connection.execute("ANALYZE items")
        await connection.close()
        print(f"{rows} rows are there; exporting", flush=True)
        before = most = megabytes(server)
        start = time.perf_counter()
        lines = size = 0
        query = {"format": "ndjson"}
        headers = {"Accept-Encoding": "identity"}
        async with client.stream("GET", "/items/export", params=query, headers=headers) as reply:
            reply.raise_for_status()
            async for chunk in reply.aiter_bytes():
                lines += chunk.count(b"\n")
                size += len(chunk)
                most = max(most, megabytes(server))
        seconds = time.perf_counter() - start
    print(
        f"{lines} rows, {size / 1e6:.0f} MB in {seconds:.1f} s;"
        f" memory {before:.0f} MB before, at most {most:.0f} MB during"
    )
    assert lines == rows, f"{rows} rows were there, {lines} came"
    assert most - before < LIMIT_MB, f"memory grew by more than {LIMIT_MB:.0f} MB"


def main(
    rows: Annotated[int, typer.Argument(help="Number of rows to export.", min=1)] = ROWS,
) -> None:
    """Measure the memory of an API process while it exports many rows."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        port = places.port(0, "PostgreSQL", "nothing")
        database = postgres.Postgres(
            place / "data", port, secrets.token_urlsafe(12), postgres.THROWAWAY
        )
        database.prepare(postgres.throwaway_run)
        redis = Redis(places.port(0, "Redis", "nothing"))
        with (
            guard.process(database.command(), place / "postgres.log", signal.SIGINT),
            guard.process(
                redis.command(), place / "redis.log", signal.SIGTERM, redis.configuration()
            ),
        ):
            while not (database.ready() and redis.ready()):
                time.sleep(0.1)
            runner.upgrade(database.url().replace("postgresql:", "postgresql+asyncpg:"))
            http = places.port(0, "the API", "nothing")
            environment = {
                "PYTHONPATH": os.pathsep.join(sys.path),
                "DATABASE_URL": database.url(),
                "DATABASE_STATEMENT_TIMEOUT": "25",
                "REDIS_URL": redis.url(),
                "LOG_LEVEL": "WARNING",
            }
            command = [sys.executable, "-m", "uvicorn", "--factory", "--port", str(http)]
            with subprocess.Popen(
                [*command, "--log-level", "warning", "fastapi_base.main:create_app"],
                env=os.environ | environment,
                cwd=place,
            ) as api:
                try:
                    server = psutil.Process(api.pid)
                    url = f"http://127.0.0.1:{http}"
                    asyncio.run(measure(url, database.url(), server, rows))
                finally:
                    api.terminate()


if __name__ == "__main__":
    typer.run(main)
