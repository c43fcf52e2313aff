"""Operating system metrics of all processes of a program, read at scrape time."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_PROC = Path("/proc")


class ProcessCollector(Collector):
    """CPU time, memory and open files of parents and their children. Linux only; otherwise empty.

    The kernel adds the CPU time of exited children to their parent (proc(5), cutime), so the sum
    never decreases while the parent is alive.
    """

    def __init__(
        self, parents: Callable[[], Iterable[int]], children: Callable[[], Iterable[int]]
    ) -> None:
        self._parents = parents
        self._children = children
        self._tick = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")

    def collect(self) -> Iterator[Metric]:
        """The sums, under the names that Prometheus clients use for a single process."""
        ticks = pages = files = alive = 0
        parents = set(self._parents())
        for pid in parents.union(self._children()):
            try:
                # After the process name in parentheses, which may contain spaces: field 3 of
                # proc(5) is first.
                fields = (_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
                files += sum(1 for _ in (_PROC / f"{pid}/fd").iterdir())
            except (OSError, IndexError):
                continue
            alive += 1
            ticks += sum(map(int, fields[11:15] if pid in parents else fields[11:13]))
            pages += int(fields[21])
        if not alive:
            return
        yield CounterMetricFamily(
            "process_cpu_seconds",
            "CPU time of all processes, including ended ones",
            value=ticks / self._tick,
        )
        yield GaugeMetricFamily(
            "process_resident_memory_bytes",
            "Memory of all processes; shared memory is counted once for each process",
            value=pages * self._page,
        )
        yield GaugeMetricFamily("process_open_fds", "Open files of all processes", value=files)
        yield GaugeMetricFamily("process_count", "Number of processes", value=alive)
