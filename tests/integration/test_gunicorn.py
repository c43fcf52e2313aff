"""The API as a real server process, and how all processes reject unsafe settings."""

import asyncio
import signal
from pathlib import Path

import httpx2
import psutil
import pytest

from ops.dev import guard, waiting
from ops.dev.places import free_port
from tests.integration import logs
from tests.integration.processes import (
    CELERY,
    END_SECONDS,
    GUNICORN,
    environment,
    outcome,
    running,
    serves,
)


async def call(port: str) -> None:
    await serves(port)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        reply = await client.get("/nowhere", headers={"x-request-id": "only-once-please"})
        assert "server" not in reply.headers


def test_serves_logs_once_and_shuts_down_cleanly(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
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
        asyncio.run(call(port))
    events = logs.events(log)
    mine = [event for event in events if event.get("request_id") == "only-once-please"]
    assert [event["event"] for event in mine] == ["request"]
    assert not [event for event in events if event["level"] in {"error", "critical"}]


def test_worker_asked_to_stop_while_starting_stops(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    port = str(free_port())
    configuration = tmp_path / "early.py"
    configuration.write_text(
        "import os, signal\n"
        "from fastapi_base import gunicorn_conf\n"
        "from fastapi_base.gunicorn_conf import *\n\n\n"
        "def post_fork(arbiter, worker):\n"
        "    if worker.age == 1:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    gunicorn_conf.post_fork(arbiter, worker)\n"
    )
    log = tmp_path / "api.log"
    command = [*GUNICORN[:3], f"--config={configuration}", GUNICORN[-1]]
    with running(
        command,
        log,
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        API_PORT=port,
        API_WORKERS="1",
    ):
        asyncio.run(call(port))
        # The first one ended, and another one took its place.
        assert log.read_text().count("Booting worker") == 2


def test_quick_shutdown_does_not_wait(tmp_path: Path, database_url: str, redis_url: str) -> None:
    port = str(free_port())
    settings = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "API_PORT": port}
    log = tmp_path / "api.log"
    with guard.process(
        GUNICORN, log, signal.SIGTERM, environ=environment(**settings), cwd=tmp_path
    ) as process:
        asyncio.run(call(port))
        process.send_signal(signal.SIGINT)
        # Less than the grace period after which workers are killed.
        assert process.wait(20) == 0, log.read_text()


def test_workers_of_a_killed_parent_exit_and_the_next_server_starts(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    port = str(free_port())
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "API_PORT": port,
        "API_WORKERS": "2",
    }
    log = tmp_path / "first.log"
    with guard.process(
        GUNICORN, log, signal.SIGTERM, environ=environment(**settings), cwd=tmp_path
    ) as process:
        asyncio.run(call(port))
        # The first worker may answer before the parent process has forked the second.
        parent = psutil.Process(process.pid)
        waiting.until(
            lambda: len(parent.children()) == 2,
            "both workers run",
            END_SECONDS,
            said=log.read_text,
        )
        workers = parent.children()
        process.kill()
        _, alive = psutil.wait_procs(workers, timeout=END_SECONDS)
        assert alive == []
    assert "the parent process is gone" in log.read_text()
    with running(GUNICORN, tmp_path / "second.log", **settings):
        asyncio.run(call(port))


@pytest.mark.parametrize(
    "command",
    [GUNICORN, (*CELERY, "worker"), (*CELERY, "beat")],
    ids=["api", "worker", "beat"],
)
def test_unsafe_settings_fail_at_boot_with_a_sentence(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    code, errors = outcome(command, tmp_path, ENVIRONMENT="production")
    assert code == 1
    assert "AUTH_JWT_SECRET: production requires your own secret" in errors
    assert "Traceback" not in errors
