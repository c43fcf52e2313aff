"""How processes start: with development keys, unknown variables, and a user without a home."""

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from fastapi_base.core.config import Settings
from fastapi_base.core.config.database import RedisSettings
from fastapi_base.core.messaging.publisher import Publisher
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.services.jobs.outbox import Message
from ops.dev.places import free_port
from tests.integration import logs
from tests.integration.processes import CELERY, GUNICORN, RELAY, doomed, outcome, running, serves
from tests.integration.waiting import until

MIGRATE = (sys.executable, "-m", "fastapi_base.cli", "migrate")
BEAT = (*CELERY, "beat", "--pidfile=")
KEYS = {"AUTH_JWT_SECRET": "own-signing-" * 4, "AUTH_ENCRYPTION_KEY": "own-encryption-" * 4}
# An unassigned user ID, as OpenShift assigns one per project.
USER = 1_000_770_000


@pytest.mark.parametrize("bind", ["0.0.0.0:{}", "[::]:{}"])
def test_development_keys_are_refused_on_public_addresses(tmp_path: Path, bind: str) -> None:
    command = (*GUNICORN, f"--bind={bind.format(free_port())}")
    code, errors = outcome(command, tmp_path)
    assert code == 1
    assert "AUTH_JWT_SECRET, AUTH_ENCRYPTION_KEY: development keys are public" in errors
    assert "Traceback" not in errors


def test_own_keys_are_accepted_on_public_addresses(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    port = free_port()
    command = (*GUNICORN, f"--bind=0.0.0.0:{port}")
    with running(command, tmp_path / "log", DATABASE_URL=database_url, REDIS_URL=redis_url, **KEYS):
        asyncio.run(serves(port))


@pytest.mark.parametrize(
    ("command", "last"),
    [
        (GUNICORN, "Application startup complete."),
        ((*CELERY, "worker"), " ready."),
        (BEAT, "beat: Starting"),
        (RELAY, "DATABASE_POOLSIZE"),
    ],
    ids=["api", "worker", "beat", "relay"],
)
def test_each_process_warns_once(
    tmp_path: Path, command: tuple[str, ...], last: str, database_url: str, redis_url: str
) -> None:
    log = tmp_path / "log"

    async def started() -> bool | None:
        return any(last in line["event"] or last in str(line) for line in logs.events(log)) or None

    with doomed(
        command,
        log,
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        API_PORT=str(free_port()),
        API_WORKERS="1",
        LOG_FORMAT="json",
        DATABASE_POOLSIZE="hunter2",
        REDIS_PORT="tcp://10.0.0.1:6379",
    ) as kill:
        asyncio.run(until(started, "the process has started", 90))
        kill()
    details = [line["detail"] for line in logs.events(log) if "detail" in line]
    assert [detail for detail in details if "DATABASE_" in detail] == [
        "DATABASE_POOLSIZE is not a setting; did you mean DATABASE_POOL_SIZE?"
    ]
    assert details.count("AUTH_JWT_SECRET, AUTH_ENCRYPTION_KEY") == 1
    assert "REDIS_PORT" not in log.read_text()
    assert "hunter2" not in log.read_text()


def stranger(command: Sequence[str]) -> list[str]:
    """The command as a user unknown to the system; only root can switch to one.

    It may traverse directories, since the checkout and the interpreter may be below /root.
    """
    if os.getuid() != 0:
        return list(command)
    setpriv = shutil.which("setpriv")
    assert setpriv, "install util-linux"
    capability = "-all,+dac_override"
    return [
        setpriv,
        *(f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
        *(f"--bounding-set={capability}", f"--inh-caps={capability}"),
        *(f"--ambient-caps={capability}", "--securebits=+no_setuid_fixup", "--"),
        *command,
    ]


def test_processes_need_no_home_and_no_user_name(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    home = tmp_path / "home"
    # Unreadable, whatever the permissions of the user.
    home.symlink_to(home)
    port = free_port()
    environ = {
        "HOME": str(home),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "LOG_FORMAT": "json",
        "API_PORT": str(port),
    }
    code, errors = outcome(stranger(MIGRATE), tmp_path, **environ)
    assert code == 0, errors
    publisher = Publisher(Settings(redis=RedisSettings.model_validate({"url": redis_url})))
    # The job is not in the database, where the worker looks it up nevertheless.
    message = Message(uuid4(), "word-count", Queue.DEFAULT, 3, None)
    assert publisher.publish([message]) == []
    publisher.close()
    log = tmp_path / "worker.log"

    async def ended() -> dict[str, Any] | None:
        return next((line for line in logs.events(log) if line["event"] == "task ended"), None)

    worker = stranger((*CELERY, "worker", "--concurrency=1"))
    with (
        running(stranger(GUNICORN), tmp_path / "api.log", **environ),
        running(worker, log, **environ),
    ):
        asyncio.run(serves(port))
        line = asyncio.run(until(ended, "the end of the task", 90))
    assert line["level"] == "info", line
