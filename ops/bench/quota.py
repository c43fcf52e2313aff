"""Gives processes a part of a processor each, by control groups of either version (cgroups(7)).

So more processes than processors can be compared with one: what they do not get is free for the
load and for the servers.
"""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

_GROUPS = Path("/sys/fs/cgroup")
_PERIOD_MICROSECONDS = 10_000


class QuotaError(Exception):
    """This machine does not let us."""


@contextmanager
def limited(processes: Iterable[psutil.Process], share: float) -> Iterator[None]:
    """Let each have so much of a processor, 0.1 to 1, for the time of the block.

    Needs root and a file system of control groups that can be written. Raises QuotaError.
    """
    with ExitStack() as stack:
        for process in processes:
            stack.enter_context(_limited(process, share))
        yield


@contextmanager
def _limited(process: psutil.Process, share: float) -> Iterator[None]:
    unified = (_GROUPS / "cgroup.controllers").exists()
    parent = _GROUPS if unified else _GROUPS / "cpu"
    quota = round(share * _PERIOD_MICROSECONDS)
    group = parent / f"bench-{secrets.token_hex(4)}"
    try:
        if unified:
            (parent / "cgroup.subtree_control").write_text("+cpu")
        group.mkdir()
    except OSError as error:
        raise QuotaError(f"no control group can be made in {parent}: {error}") from error
    try:
        if unified:
            (group / "cpu.max").write_text(f"{quota} {_PERIOD_MICROSECONDS}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        before = _group_of(process.pid, unified=unified)
        (group / "cgroup.procs").write_text(str(process.pid))
        try:
            yield
        finally:
            if process.is_running():
                (before / "cgroup.procs").write_text(str(process.pid))
    finally:
        group.rmdir()


def _group_of(pid: int, *, unified: bool) -> Path:
    """Where it was: the line of version 2 has no names of controllers."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if names == "" if unified else "cpu" in names.split(","):
            return (_GROUPS if unified else _GROUPS / "cpu") / path.lstrip("/")
    raise QuotaError(f"process {pid} is in no control group")
