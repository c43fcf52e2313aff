"""Resource limits of a process, read from directories that look like /proc and /sys."""

import os
from pathlib import Path

import pytest

from fastapi_base.serving import machine

MIB = 1024 * 1024


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(autouse=True)
def sixteen_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: 16)


CASES = {
    "nothing": ({}, 16, None),
    "v2 without limits": (
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.max": "max 100000\n",
            "sys/fs/cgroup/memory.max": "max\n",
        },
        16,
        None,
    ),
    "v2 in a container": (
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/memory.max": f"{512 * MIB}\n",
        },
        1.5,
        512 * MIB,
    ),
    "v2, the limit is above": (
        {
            "proc/self/cgroup": "0::/pods/one/api\n",
            "sys/fs/cgroup/pods/cpu.max": "300000 100000\n",
            "sys/fs/cgroup/pods/one/api/cpu.max": "max 100000\n",
            "sys/fs/cgroup/pods/one/memory.max": f"{700 * MIB}\n",
        },
        3,
        700 * MIB,
    ),
    "v1, the host's path": (
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{300 * MIB}\n",
        },
        2.5,
        300 * MIB,
    ),
    "v1 without limits": (
        {
            "proc/self/cgroup": "4:memory:/\n1:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
        16,
        None,
    ),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_lowest_limit_wins(tmp_path: Path, case: str) -> None:
    files, processors, memory = CASES[case]
    root = tree(tmp_path, files)
    assert machine.processors(root) == processors
    assert machine.memory_limit(root) == memory


@pytest.mark.parametrize(
    ("quota", "memory", "expected"),
    [
        ("max 100000", "max", 16),
        ("150000 100000", "max", 2),
        ("20000 100000", "max", 1),
        ("max 100000", str(4 * machine.WORKER_BYTES + 1), 4),
        ("max 100000", str(64 * MIB), 1),
    ],
)
def test_workers_fit_the_quota_and_the_memory(
    tmp_path: Path, quota: str, memory: str, expected: int
) -> None:
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.max": f"{quota}\n",
            "sys/fs/cgroup/memory.max": f"{memory}\n",
        },
    )
    assert machine.workers(root) == expected


def test_affinity_below_the_quota_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: 2)
    root = tree(
        tmp_path,
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "800000 100000\n"},
    )
    assert machine.workers(root) == 2


def test_real_machine_allows_at_least_one_worker() -> None:
    assert machine.workers() >= 1
