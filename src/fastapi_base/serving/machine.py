"""CPU and memory limits of this process, from CPU affinity and cgroups."""

import math
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

# Memory of a worker under load (docs/deploying.md), with a safety margin.
WORKER_BYTES = 192 * 1024 * 1024

# Open files of a process apart from client connections, with a safety margin. They include refused
# connections (connections.MOST_REFUSED).
OWN_FILES = 192

# cgroup v1 reports the largest multiple of the page size if there is no limit.
_NO_LIMIT = 1 << 60


def workers(root: Path = Path("/")) -> int:
    """The number of worker processes: one per processor, as far as memory permits.

    At least one. `root` is the directory that contains /proc and /sys.
    """
    by_memory = memory_limit(root)
    wanted = math.ceil(processors(root))
    return max(1, wanted if by_memory is None else min(wanted, by_memory // WORKER_BYTES))


def processors(root: Path = Path("/")) -> float:
    """Processors available to this process: the minimum of its affinity and its cgroups' quotas.

    The quotas are those of cgroup v2 (`cpu.max`) or v1 (`cpu.cfs_quota_us`), of this cgroup and its
    ancestors; see Documentation/admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst of Linux.
    """
    found = [float(os.process_cpu_count() or 1)]
    for folder in _folders(root, "cpu"):
        words = _words(folder / "cpu.max")
        if not words:
            words = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
        # "max" in v2 and -1 in v1 mean no limit.
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


def connections(wanted: int) -> int:
    """The number of client connections that this process can accept, at most `wanted`.

    Limited by the open files limit (RLIMIT_NOFILE), less OWN_FILES.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, limit - OWN_FILES))


def limit_unread(listening: socket.socket, seconds: float) -> None:
    """Let the kernel abort connections whose peer acknowledges no data for `seconds`.

    Sets TCP_USER_TIMEOUT (RFC 5482; tcp(7)), which accepted connections inherit from the listening
    socket. It covers data in the kernel's buffers, closed connections, and peers that vanished. Has
    no effect on systems without this option.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None and listening.family in (socket.AF_INET, socket.AF_INET6):
        listening.setsockopt(socket.IPPROTO_TCP, option, round(seconds * 1000))


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The cgroup of this process that has the controller, and its ancestors.

    In a container, the path in /proc may be the host's. Missing directories are skipped, and the
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
