"""The API as a real server process, and how all processes refuse unsafe settings."""

import asyncio
import json
from pathlib import Path

import httpx2
import pytest

from ops.dev.places import free_port
from tests.integration.processes import CELERY, GUNICORN, outcome, running
from tests.integration.waiting import until


async def call(url: str) -> None:
    async with httpx2.AsyncClient(base_url=url) as client:

        async def ready() -> httpx2.Response | None:
            try:
                reply = await client.get("/health/ready")
            except httpx2.TransportError:
                return None
            return reply if reply.status_code == 200 else None

        reply = await until(ready, "ready")
        assert "server" not in reply.headers
        await client.get("/nowhere", headers={"x-request-id": "only-once-please"})


def test_serves_logs_once_and_ends_well(tmp_path: Path, database_url: str, redis_url: str) -> None:
    port = str(free_port())
    log = tmp_path / "api.log"
    with running(
        GUNICORN,
        log,
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        API_PORT=port,
        API_WORKERS="2",
        LOG_FORMAT="json",
    ):
        asyncio.run(call(f"http://127.0.0.1:{port}"))
    events = [json.loads(line) for line in log.read_text().splitlines()]
    mine = [event for event in events if event.get("request_id") == "only-once-please"]
    assert [event["event"] for event in mine] == ["request"]
    assert not [event for event in events if event["level"] in {"error", "critical"}]


@pytest.mark.parametrize(
    "command",
    [GUNICORN, (*CELERY, "worker"), (*CELERY, "beat")],
    ids=["api", "worker", "beat"],
)
def test_unsafe_settings_stop_the_boot_with_a_sentence(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    code, errors = outcome(command, tmp_path, ENVIRONMENT="production")
    assert code == 1
    assert "AUTH_JWT_SECRET: production needs a secret of its own" in errors
    assert "Traceback" not in errors
