"""Gives processes a CPU quota each, with control groups of either version (cgroups(7)).

So more processes than processors can be compared with one: the unused part is free for the load and
for the servers.
"""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

_GROUPS = Path("/sys/fs/cgroup")
_PERIOD_MICROSECONDS = 10_000


class QuotaError(Exception):
    """This machine does not permit quotas."""


@contextmanager
def limited(processes: Iterable[psutil.Process], share: float) -> Iterator[None]:
    """Limit each process to this share of a processor, 0.1 to 1, during the block.

    Needs root and a writable file system of control groups. Raises QuotaError.
    """
    with ExitStack() as stack:
        for process in processes:
            stack.enter_context(_limited(process, share))
        yield


@contextmanager
def _limited(process: psutil.Process, share: float) -> Iterator[None]:
    unified = (_GROUPS / "cgroup.controllers").exists()
    parent = _GROUPS if unified else _GROUPS / "cpu"
    group = parent / f"bench-{secrets.token_hex(4)}"
    period, quota = str(_PERIOD_MICROSECONDS), str(round(share * _PERIOD_MICROSECONDS))
    limits = {"cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota}
    if unified:
        limits = {"cpu.max": f"{quota} {period}"}
    try:
        before = parent / _group_of(process.pid, unified=unified)
        if unified:
            (parent / "cgroup.subtree_control").write_text("+cpu")
        group.mkdir()
        for name, value in {**limits, "cgroup.procs": str(process.pid)}.items():
            (group / name).write_text(value)
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        raise QuotaError(f"no control group can be made in {parent}: {error}") from error
    try:
        yield
    finally:
        if process.is_running():
            (before / "cgroup.procs").write_text(str(process.pid))
        group.rmdir()


def _group_of(pid: int, *, unified: bool) -> str:
    """Its path below the root: the line of version 2 names no controllers."""
    file = Path(f"/proc/{pid}/cgroup")
    for line in file.read_text().splitlines():
        _, names, path = line.split(":", 2)
        if names == "" if unified else "cpu" in names.split(","):
            return path.lstrip("/")
    raise FileNotFoundError(f"{file} names no group for processors")
