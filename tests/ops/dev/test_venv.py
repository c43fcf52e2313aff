"""`make venv`, and the commands of docs/developing.md in it, in a copy of the repository."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from ops.dev.waiting import until

SECONDS = 240


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository, without what commands have created."""
    made = shutil.ignore_patterns(
        ".git", ".venv", ".local", "dist", ".pants.d", ".pids", "__pycache__", ".*_cache"
    )
    return shutil.copytree(".", tmp_path / "a copy", symlinks=True, ignore=made)


def environ() -> dict[str, str]:
    kept = {**os.environ}
    # Neither this run's modules nor the options of a `make` around it.
    for name in ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "TEST_SERVERS"):
        kept.pop(name, None)
    return kept


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=copy, env=environ(), capture_output=True, text=True, timeout=SECONDS
    )


def identity(venv: Path) -> tuple[int, int]:
    """Differs for an environment that was created later."""
    status = (venv / ".made-from").stat()
    return status.st_ino, status.st_mtime_ns


def kill_halfway(copy: Path) -> None:
    """Run `make venv`, and kill it while it installs the packages."""
    new = copy / ".local/venv.new"
    with subprocess.Popen(
        ["make", "venv"],
        cwd=copy,
        env=environ(),
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            until(
                lambda: any(new.glob("lib/*/site-packages/*.dist-info")),
                "the installation of packages",
                SECONDS,
                runs=lambda: process.poll() is None,
                # The installation from a cache takes less than a second.
                pause=0.002,
            )
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert not (new / ".made-from").exists()


def test_commands_of_the_page_run_and_no_run_leaves_half_an_environment(copy: Path) -> None:
    text = (copy / "docs/developing.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```bash venv\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    venv = copy / ".venv"

    kill_halfway(copy)
    assert not venv.exists()

    done = run(copy, "bash", "-euo", "pipefail", "-c", block)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^\d+ passed in ", done.stdout, re.MULTILINE)) == 2
    assert "Usage: python -m fastapi_base.cli" in done.stdout

    made = identity(venv)
    again = run(copy, "make", "venv")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert identity(venv) == made

    # After a change of a lock, the earlier one stays until the new one is complete.
    with (copy / "3rdparty/python/test.lock").open("a", encoding="utf-8") as lock:
        lock.write("# changed\n")
    kill_halfway(copy)
    assert identity(venv) == made
    assert run(copy, ".venv/bin/pytest", "--version").returncode == 0


def test_other_environment_is_not_replaced_and_runs_wait_for_each_other(copy: Path) -> None:
    (copy / ".venv").mkdir()
    (copy / ".local").mkdir()
    with (copy / ".local/venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(
            ["make", "venv"], cwd=copy, env=environ(), stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr
            said = process.stderr.readline()
            assert said == "venv: waiting for another run, which creates .venv\n"
            fcntl.flock(lock, fcntl.LOCK_UN)
            _, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    assert ".venv is not from `make venv`: remove or rename it first" in stderr
    assert list((copy / ".venv").iterdir()) == []
