"""The port at which Prometheus asks, right with several processes.

Each process writes its numbers to files in a folder in memory; whichever process of the program
accepts a scrape adds them up (prometheus_client's multiprocess mode). What a process that ended had
counted is added to one file, so that counters never fall and files do not pile up.
"""

import contextlib
import fcntl
import os
import platform
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path

from prometheus_client import CollectorRegistry, MetricsHandler, values
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

import fastapi_base
from fastapi_base.core.config import Settings
from fastapi_base.core.process_metrics import ProcessCollector

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "fastapi-base-metrics-"
# Which of the files belong to no metric: they say who uses the folder.
_USER = "user-"
# What a program gives the one that replaces it: the number of the open socket, and the folder.
_INHERITED = "FASTAPI_BASE_METRICS_INHERITED"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
_ENDED = 0
_SCRAPE_SECONDS = 10


class MetricsPortTaken(Exception):
    """The port of the metrics cannot be had. The message names the variable."""


class _Handler(MetricsHandler):
    timeout = _SCRAPE_SECONDS


class _Server(HTTPServer):
    """Serves a socket that others made, and maybe serve as well."""

    def __init__(self, listener: socket.socket, registry: CollectorRegistry) -> None:
        address = listener.getsockname()
        super().__init__(address, _Handler.factory(registry), bind_and_activate=False)
        self.socket.close()
        self.socket = listener


class MetricsEndpoint:
    """Made in the process that starts the others, before anything is measured and any is started.

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
        # The library chooses at its import, which was long ago: choose again, before any metric is.
        os.environ[_FOLDER_VARIABLE] = str(self.folder)
        values.ValueClass = values.MultiProcessValue()
        self._extra = [_Build(settings.app.image_digest), *extra]

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Answer in a thread of this process, beside others that do the same."""
        registry = CollectorRegistry()
        registry.register(_Files(self.folder))
        registry.register(
            ProcessCollector(lambda: _users(self.folder), lambda: _writers(self.folder))
        )
        for collector in self._extra:
            registry.register(collector)
        server = _Server(self._listener, registry)
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()

    def hand_over(self) -> dict[str, str]:
        """What the environment of a program must hold that this process becomes by exec.

        Both then answer at the port, and count together, for as long as both run.
        """
        self._listener.set_inheritable(True)
        return {_INHERITED: f"{self._listener.fileno()}:{self.folder}"}

    def close(self) -> None:
        """Remove the files, when no other program uses them; nothing in a process of its own."""
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
        family = GaugeMetricFamily("build_info", "What runs, as labels", labels=[*self._labels])
        family.add_metric([*self._labels.values()], 1)
        yield family


def merge_ended(folder: Path) -> None:
    """Add the counters of processes that ended to one file, and forget their gauges."""
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
        # Its programs were killed before they could remove it.
        if not _users(folder):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{owner}-", dir=base))


def _users(folder: Path) -> set[int]:
    """The programs that use the folder and live, by their first process."""
    named = [path.name.removeprefix(_USER) for path in folder.glob(f"{_USER}*")]
    # As long as there is none, the one that makes it.
    named = named or [folder.name.removeprefix(_PREFIX).partition("-")[0]]
    return {int(name) for name in named if name.isdecimal() and _alive(int(name))}


def _writers(folder: Path) -> set[int]:
    return {int(path.stem.rpartition("_")[2]) for path in folder.glob("*_*.db")} - {_ENDED}


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One scrape at a time, of all processes: two must not add the same file."""
    with (folder / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # By name: a process that was forked meanwhile has the file open too.
            fcntl.flock(file, fcntl.LOCK_UN)


def _listen(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port), backlog=16)
    except OSError as error:
        raise MetricsPortTaken(
            f"METRICS_PORT: {host}:{port} cannot be used ({error.strerror}); choose another"
        ) from None
    # Several processes wait for the same connection, and one gets it.
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
