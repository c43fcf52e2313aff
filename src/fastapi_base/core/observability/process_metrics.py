"""What the operating system says of a program's processes together, read when it is asked for."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_PROC = Path("/proc")


class ProcessCollector(Collector):
    """CPU time, memory and files of parents and their children (Linux only; else nothing).

    Processor time of children that ended is in the parent's record (proc(5), cutime), so the sum
    never falls while the parent lives.
    """

    def __init__(
        self, parents: Callable[[], Iterable[int]], children: Callable[[], Iterable[int]]
    ) -> None:
        self._parents = parents
        self._children = children
        self._tick = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")

    def collect(self) -> Iterator[Metric]:
        """The sums, under the names that Prometheus' clients use for one process."""
        ticks = pages = files = alive = 0
        parents = set(self._parents())
        for pid in parents.union(self._children()):
            try:
                # After the name in parentheses, which may hold blanks: field 3 of proc(5) is first.
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
            "Processor time of all processes, and of those that ended",
            value=ticks / self._tick,
        )
        yield GaugeMetricFamily(
            "process_resident_memory_bytes",
            "Memory of all processes; what they share counts in each",
            value=pages * self._page,
        )
        yield GaugeMetricFamily("process_open_fds", "Open files of all processes", value=files)
        yield GaugeMetricFamily("process_count", "Processes", value=alive)
