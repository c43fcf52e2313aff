"""SIGUSR2: a new server replaces the old one on the same ports without downtime."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import httpx2
import psutil

from ops.dev import waiting
from ops.dev.places import free_port
from tests.integration.processes import GUNICORN, doomed
from tests.integration.scraping import Scrape, folders, scrape, writers

SECONDS = 90


def test_metrics_survive_a_binary_upgrade(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    port, metrics, pid_file = free_port(), free_port(), tmp_path / "pid"
    log = tmp_path / "api.log"
    # As an installed program: started by -m, gunicorn's successor would have gunicorn's own
    # directory first in its module path, which contains an `http`.
    program = tmp_path / "gunicorn"
    program.write_text("from gunicorn.app.wsgiapp import run\n\nrun()\n")
    with doomed(
        (sys.executable, str(program), GUNICORN[3], f"--pid={pid_file}"),
        log,
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        API_PORT=str(port),
        API_WORKERS="1",
        API_DRAIN_SECONDS="0",
        METRICS_PORT=str(metrics),
    ):
        old = _pid_in(pid_file)
        try:
            _upgrade(old, pid_file, f"http://127.0.0.1:{port}", metrics)
        except BaseException as error:
            error.add_note(log.read_text())
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(old, signal.SIGKILL)
    assert "METRICS_PORT" not in log.read_text()


def _upgrade(old: int, pid_file: Path, url: str, metrics: int) -> None:
    waiting.until(lambda: _answers(url), "the old server answers", SECONDS)
    waiting.until(lambda: _count(metrics) == 1, "the first request is counted", SECONDS)
    counted = 1
    os.kill(old, signal.SIGUSR2)
    new = _pid_in(pid_file.with_name("pid.2"))

    def both_count() -> bool:
        nonlocal counted
        counted += _answers(url)
        return len(writers(old) - {0}) == 2

    waiting.until(both_count, "both servers count requests", SECONDS)
    # A request is counted after its reply. All processes report the same count then.
    waiting.until(
        lambda: {_count(metrics) for _ in range(10)} == {counted},
        f"all processes report {counted} requests",
        SECONDS,
    )
    assert counted > 1
    assert {_seen(metrics).total("process_count") for _ in range(10)} == {4}

    _end(old)
    assert _answers(url)
    (folder,) = folders(old)
    waiting.until(
        lambda: _count(metrics) == counted + 1, "the new server continues the count", SECONDS
    )
    _end(new)
    assert not folder.exists()


def _pid_in(file: Path) -> int:
    waiting.until(lambda: file.exists() and bool(file.read_text()), f"a pid in {file}", SECONDS)
    return int(file.read_text())


def _answers(url: str) -> bool:
    """Whether it responds on a new connection."""
    try:
        return httpx2.get(f"{url}/api/v1/users/me", timeout=30).status_code == 401
    except httpx2.TransportError:
        return False


def _seen(metrics: int) -> Scrape:
    return asyncio.run(scrape(metrics))


def _count(metrics: int) -> float:
    route = "/api/v1/users/me"
    return _seen(metrics).total("http_request_duration_seconds_count", route=route)


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)

    def ended() -> bool:
        # A child of this process remains until it is waited for.
        gone = not psutil.pid_exists(pid)
        return gone or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE

    waiting.until(ended, f"the end of {pid}", SECONDS)
