"""A process gets only its CPU quota, and is unrestricted afterwards."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.measure.bench.quota import QuotaError, limited

SHARE = 0.2


@pytest.fixture
def busy() -> Iterator[psutil.Process]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def spent(process: psutil.Process, seconds: float) -> float:
    """The processors that it used meanwhile."""
    before, begun = sum(process.cpu_times()[:2]), time.perf_counter()
    time.sleep(seconds)
    return (sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - begun)


def groups(process: psutil.Process) -> str:
    return Path(f"/proc/{process.pid}/cgroup").read_text()


def held(process: psutil.Process) -> float | str:
    """What it used while limited, or why that is impossible: no root, no control groups."""
    before = groups(process)
    try:
        with limited([process], SHARE):
            assert groups(process) != before
            return spent(process, 1.0)
    except QuotaError as error:
        return str(error)


def test_process_is_held_to_its_quota_or_the_obstacle_is_named(busy: psutil.Process) -> None:
    before = groups(busy)
    used = held(busy)
    if isinstance(used, str):
        assert "no control group can be made in /sys/fs/cgroup" in used
    else:
        assert used < SHARE * 1.5
    assert groups(busy) == before
