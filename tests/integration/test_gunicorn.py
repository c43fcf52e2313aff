"""The API as a real server process."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.integration.waiting import until

COMMAND = [
    sys.executable,
    "-m",
    "gunicorn",
    "--config=python:fastapi_base.gunicorn_conf",
    "fastapi_base.main:create_app()",
]


def environment(**settings: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), **settings}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def api(log: Path, **settings: str) -> Iterator[None]:
    """Run the API; it must end well when it is asked to."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            COMMAND,
            env=environment(**settings),
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


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
    with api(
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


def test_unsafe_settings_stop_the_boot_with_a_sentence(tmp_path: Path) -> None:
    result = subprocess.run(
        COMMAND,
        env=environment(ENVIRONMENT="production"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "AUTH_JWT_SECRET: production needs a secret of its own" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_unsafe_settings_stop_worker_and_beat_too(tmp_path: Path, role: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "celery", "--app=fastapi_base.tasks.app", role],
        env=environment(ENVIRONMENT="production"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "AUTH_JWT_SECRET: production needs a secret of its own" in result.stderr
    assert "Traceback" not in result.stderr
