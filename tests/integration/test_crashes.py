"""A programming error in any process is logged with its traceback and ends only what it must."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis

from fastapi_base.services.health import heartbeat
from fastapi_base.tasks.relay import ALIVE
from ops.dev.places import free_port
from tests.integration import logs
from tests.integration.processes import CELERY, GUNICORN, RELAY, outcome, running, serves
from tests.integration.waiting import until

# Missing tables are a programming error that every statement hits.
MISSING = "UndefinedTableError"


def told(text: str) -> list[dict[str, Any]]:
    """The events with the traceback of the error."""
    return [event for event in logs.parsed(text) if MISSING in event.get("exception", "")]


@pytest.mark.parametrize("command", [RELAY, (*CELERY, "beat", "--pidfile=")], ids=["relay", "beat"])
def test_process_that_cannot_work_logs_the_cause_and_retries(
    tmp_path: Path, empty_database_url: str, redis_url: str, command: tuple[str, ...]
) -> None:
    log = tmp_path / "process.log"

    async def twice() -> dict[str, Any] | None:
        found = told(log.read_text())
        return found[-1] if len(found) >= 2 else None

    with running(
        command,
        log,
        DATABASE_URL=empty_database_url,
        REDIS_URL=redis_url,
        LOG_FORMAT="json",
    ):
        event = asyncio.run(until(twice, "two errors with their tracebacks", 60))
    assert event["level"] == "error"
    assert "Traceback (most recent call last)" in event["exception"]


def test_command_reports_a_programming_error_in_one_line(
    tmp_path: Path, empty_database_url: str, redis_url: str
) -> None:
    command = (*RELAY[:-1], "jobs", "list")
    code, output = outcome(
        command, tmp_path, DATABASE_URL=empty_database_url, REDIS_URL=redis_url, LOG_FORMAT="json"
    )
    assert code != 0
    (event,) = told(output)
    assert event["event"] == "an unexpected error ends the process"


@pytest.mark.parametrize("form", ["json", "console"])
def test_api_answers_500_and_logs_the_cause(
    tmp_path: Path, empty_database_url: str, redis_url: str, form: str
) -> None:
    port, log = str(free_port()), tmp_path / "api.log"

    async def ask() -> None:
        # Without tables it is never ready.
        await serves(port, "/health/live")
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            form = {"username": "ada@example.com", "password": "hunter2-correct-horse"}
            reply = await client.post("/api/v1/auth/login", data=form)
            assert (reply.status_code, reply.json()["type"]) == (
                500,
                "urn:fastapi-base:internal-error",
            )
            # The flags cannot be read either: the process survives, and the failure is visible.
            ready = (await client.get("/health/ready")).json()
            assert ready["background"]["flags"]["failures"]
            assert ready["checks"]["database"]["error"] == "NotMigrated"
            assert (await client.get("/health/live")).status_code == 200

    with running(
        GUNICORN,
        log,
        DATABASE_URL=empty_database_url,
        REDIS_URL=redis_url,
        API_PORT=port,
        API_WORKERS="1",
        LOG_FORMAT=form,
    ):
        asyncio.run(ask())
    said = log.read_text()
    assert said.count("Traceback (most recent call last)") >= 2
    assert "hunter2" not in said
    if form == "json":
        assert [e["event"] for e in told(said)].count("unhandled error") == 1
        assert "work in the background failed unexpectedly" in {e["event"] for e in told(said)}


def test_working_relay_is_visible(tmp_path: Path, fresh_database_url: str, redis_url: str) -> None:
    mark = tmp_path / ALIVE.name

    async def seen() -> datetime:
        async with Redis.from_url(redis_url) as redis:
            await redis.delete(heartbeat.RELAY_KEY)
            return await until(
                lambda: heartbeat.last(redis, heartbeat.RELAY_KEY),
                "the relay reports its heartbeat",
                90,
            )

    with running(
        RELAY,
        tmp_path / "relay.log",
        DATABASE_URL=fresh_database_url,
        REDIS_URL=redis_url,
        TMPDIR=str(tmp_path),
    ):
        at = asyncio.run(seen())
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert mark.exists()
