"""The supervisor process that restarts a worker, and how it stops itself."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.processes import environment

# The worker is the rest of the command line, in a separate process.
_SUPERVISED = """
import os, pathlib, signal, sys
from types import SimpleNamespace
from celery.signals import worker_ready, worker_shutdown
from fastapi_base.tasks.supervising import supervise
"""
_BEGIN = "supervise(SimpleNamespace(pool_cls='solo'))\n"
_NAMELESS = signal.SIGRTMIN + 1


def supervised(worker: str, folder: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the supervisor to its end."""
    return subprocess.run(
        [sys.executable, "-c", _SUPERVISED + before + _BEGIN + worker],
        env=environment(DATABASE_URL="postgresql://nobody@127.0.0.1/none", LOG_FORMAT="json"),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, _NAMELESS])
def test_worker_killed_during_start_ends_the_supervisor(number: int, tmp_path: Path) -> None:
    done = supervised(f"os.kill(os.getpid(), {int(number)})", tmp_path)
    assert (done.returncode, done.stderr) == (-number, "")


def test_worker_killed_by_an_unnamed_signal_is_restarted(tmp_path: Path) -> None:
    worker = f"""
worker_ready.send(sender=None)
first = pathlib.Path("first")
if not first.exists():
    first.touch()
    os.kill(os.getpid(), {int(_NAMELESS)})
worker_shutdown.send(sender=None)
"""
    done = supervised(worker, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f'"why":"signal {int(_NAMELESS)}"' in done.stdout.replace(": ", ":")


def test_stop_request_between_two_workers_ends_the_supervisor(tmp_path: Path) -> None:
    """The signal arrives after the worker is gone and before the next one starts."""
    before = """
wait = os.waitpid
def wait_and_be_told(*given):
    status = wait(*given)
    os.kill(os.getpid(), signal.SIGTERM)
    return status
os.waitpid = wait_and_be_told
"""
    worker = "worker_ready.send(sender=None); os.kill(os.getpid(), signal.SIGKILL)"
    done = supervised(worker, tmp_path, before)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
