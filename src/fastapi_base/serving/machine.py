"""What this process may use of the machine: processors and memory, by affinity and by cgroup."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

# Of a worker under load (docs/deploying.md), with room to spare.
WORKER_BYTES = 192 * 1024 * 1024

# What version 1 says where there is no limit: the largest multiple of a page.
_NO_LIMIT = 1 << 60


def workers(root: Path = Path("/")) -> int:
    """How many processes should serve: one for each processor, as far as the memory reaches.

    At least one. `root` is where /proc and /sys are.
    """
    by_memory = memory_limit(root)
    wanted = math.ceil(processors(root))
    return max(1, wanted if by_memory is None else min(wanted, by_memory // WORKER_BYTES))


def processors(root: Path = Path("/")) -> float:
    """Processors that this process may use: the least of its affinity and its cgroups' quotas.

    Quotas are of cgroup v2 (`cpu.max`) or v1 (`cpu.cfs_quota_us`), of this cgroup and those above
    it; Linux' Documentation/admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst tell what they
    mean.
    """
    found = [float(os.process_cpu_count() or 1)]
    for folder in _folders(root, "cpu"):
        words = _words(folder / "cpu.max")
        if not words:
            words = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
        # "max" in v2 and -1 in v1 are no limit.
        if len(words) == 2 and words[0].isdecimal() and int(words[1]):
            found.append(int(words[0]) / int(words[1]))
    return min(found)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes that this process's cgroup may use; None without a limit."""
    found = []
    for folder in _folders(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            words = _words(folder / name)
            if words and words[0].isdecimal() and int(words[0]) < _NO_LIMIT:
                found.append(int(words[0]))
    return min(found, default=None)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The cgroup of this process that has the controller, and those above it.

    In a container, the path in /proc may be the host's: what is missing is passed over, and the
    mount itself is the container's cgroup.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text("ascii").splitlines()
    except (OSError, UnicodeError):
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mounts = [root / "sys/fs/cgroup"]
        elif controller in controllers.split(","):
            mounts = [root / "sys/fs/cgroup" / name for name in {controllers, controller}]
        else:
            continue
        for mount in mounts:
            here = mount / path.strip("/")
            while here.is_relative_to(mount):
                yield here
                here = here.parent


def _words(file: Path) -> list[str]:
    try:
        return file.read_text("ascii").split()
    except (OSError, UnicodeError):
        return []
