"""The endpoint that Prometheus scrapes, correct for programs with several processes.

Each process writes its metrics to files in a shared in-memory directory. Whichever process accepts
a scrape aggregates them (prometheus_client's multiprocess mode). The counters of processes that
have exited are merged into one file, so that counters never decrease and files do not accumulate.
"""

import contextlib
import fcntl
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, MetricsHandler, values
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

import fastapi_base
from fastapi_base.core.config import Settings
from fastapi_base.core.observability import metrics, reporting
from fastapi_base.core.observability.process_metrics import ProcessCollector
from fastapi_base.core.runtime import background

log = structlog.stdlib.get_logger(__name__)

_FAILED = metrics.counter(
    "metrics_collector_failures", "Scrapes that lack the metrics of a collector", "collector"
)
_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "fastapi-base-metrics-"
# Files with this prefix hold no metrics; they record which programs use the directory.
_USER = "user-"
# Passed to the successor of this program: the file descriptor of the socket and the directory.
_INHERITED = "FASTAPI_BASE_METRICS_INHERITED"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
_ENDED = 0
_SCRAPE_SECONDS = 10


class MetricsPortTaken(Exception):
    """The metrics port cannot be bound. The message names the variable."""


class _Handler(MetricsHandler):
    timeout = _SCRAPE_SECONDS


class _Server(ThreadingHTTPServer):
    """Serves an existing socket, possibly shared with other processes.

    Each connection has its own thread, so that a client that sends nothing delays no scrape.
    """

    def __init__(self, listener: socket.socket, registry: CollectorRegistry) -> None:
        address = listener.getsockname()
        super().__init__(address, _Handler.factory(registry), bind_and_activate=False)
        self.socket.close()
        self.socket = listener

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Replaces the default, which prints to standard error."""
        if not isinstance(sys.exception(), OSError):  # The client disconnected.
            log.exception("metrics scrape failed")


class _Guarded(Collector):
    """Isolates the errors of a collector: the scrape continues without its metrics."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def collect(self) -> Iterable[Metric]:
        try:
            return [*self._collector.collect()]
        except Exception as error:
            _FAILED.child(type(self._collector).__name__).inc()
            log.exception("metrics collector failed", collector=type(self._collector).__name__)
            reporting.capture(error)
            return []


class MetricsEndpoint:
    """Create it in the parent process, before any metric is used and before any fork.

    Raises MetricsPortTaken.
    """

    def __init__(self, settings: Settings, *extra: Collector) -> None:
        self._owner = os.getpid()
        number, _, folder = os.environ.pop(_INHERITED, "").partition(":")
        if folder:
            self._listener, self.folder = socket.socket(fileno=int(number)), Path(folder)
        else:
            self._listener = _listen(settings.metrics.host, settings.metrics.port)
            self.folder = _new_folder(self._owner)
        (self.folder / f"{_USER}{self._owner}").touch()
        # prometheus_client selected its value class at import; select it again before any metric is
        # created.
        os.environ[_FOLDER_VARIABLE] = str(self.folder)
        values.ValueClass = values.MultiProcessValue()
        self._extra = [_Build(settings.app.image_digest), *extra]

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Answer scrapes in a thread of this process. Several processes may serve concurrently."""
        registry = CollectorRegistry()
        registry.register(_Files(self.folder))
        registry.register(
            ProcessCollector(lambda: _users(self.folder), lambda: _writers(self.folder))
        )
        for collector in self._extra:
            registry.register(_Guarded(collector))
        server = _Server(self._listener, registry)
        background.thread("metrics", server.serve_forever)

    def hand_over(self) -> dict[str, str]:
        """The environment variables for the program that replaces this process by exec.

        Both programs then answer on the port and share their metrics for as long as both run.
        """
        self._listener.set_inheritable(True)
        return {_INHERITED: f"{self._listener.fileno()}:{self.folder}"}

    def close(self) -> None:
        """Remove the files if no other program uses them. Has no effect in child processes."""
        if os.getpid() == self._owner:
            self._listener.close()
            if _users(self.folder) - {self._owner}:
                (self.folder / f"{_USER}{self._owner}").unlink()
            else:
                shutil.rmtree(self.folder, ignore_errors=True)


class _Files(Collector):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        with _locked(self._folder):
            merge_ended(self._folder)
            yield from MultiProcessCollector(None, str(self._folder)).collect()


class _Build(Collector):
    def __init__(self, digest: str) -> None:
        self._labels = {
            "version": fastapi_base.VERSION,
            "image_digest": digest,
            "python": platform.python_version(),
        }

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "build_info",
            "Version, image digest and Python version, as labels",
            labels=[*self._labels],
        )
        family.add_metric([*self._labels.values()], 1)
        yield family


def merge_ended(folder: Path) -> None:
    """Merge the counters of exited processes into one file and delete their gauges."""
    for path in folder.glob("*_*.db"):
        kind, _, number = path.stem.rpartition("_")
        if int(number) == _ENDED or _alive(int(number)):
            continue
        if not kind.startswith("gauge"):
            total = MmapedDict(str(folder / f"{kind}_{_ENDED}.db"))
            for key, value, stamp, _ in MmapedDict.read_all_values_from_file(str(path)):
                total.write_value(key, total.read_value(key)[0] + value, stamp)
            total.close()
        path.unlink()


def _new_folder(owner: int) -> Path:
    memory = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
    base = Path(memory or tempfile.gettempdir())
    for folder in base.glob(f"{_PREFIX}*"):
        # The programs that used it were killed before they could remove it.
        if not _users(folder):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{owner}-", dir=base))


def _users(folder: Path) -> set[int]:
    """The programs that use the directory and are alive, by the id of their first process."""
    named = [path.name.removeprefix(_USER) for path in folder.glob(f"{_USER}*")]
    # Until the first marker file exists, the owner is in the directory's name.
    named = named or [folder.name.removeprefix(_PREFIX).partition("-")[0]]
    return {int(name) for name in named if name.isdecimal() and _alive(int(name))}


def _writers(folder: Path) -> set[int]:
    return {int(path.stem.rpartition("_")[2]) for path in folder.glob("*_*.db")} - {_ENDED}


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Serialise scrapes across processes: two must not merge the same file."""
    with (folder / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Unlock explicitly: a process forked in the meantime has the file open too.
            fcntl.flock(file, fcntl.LOCK_UN)


def _listen(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port), backlog=16)
    except OSError as error:
        raise MetricsPortTaken(
            f"METRICS_PORT: {host}:{port} cannot be used ({error.strerror}); choose another"
        ) from None
    # Several processes wait for the same connection, and one of them gets it.
    listener.setblocking(False)
    return listener


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
