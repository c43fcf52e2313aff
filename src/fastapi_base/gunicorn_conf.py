"""gunicorn's configuration: `gunicorn --config python:fastapi_base.gunicorn_conf ...`."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import structlog
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from uvicorn import Config, Server
from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

from fastapi_base.core.config import Settings, SettingsError, load_settings
from fastapi_base.core.config.checks import public_keys
from fastapi_base.core.config.urls import is_loopback, written
from fastapi_base.core.observability.logging import configure_logging, write_behind
from fastapi_base.core.observability.metrics_endpoint import MetricsEndpoint, MetricsPortTaken
from fastapi_base.core.runtime import drain
from fastapi_base.serving import machine
from fastapi_base.serving.connections import Connections
from fastapi_base.serving.protocol import LimitedProtocol
from fastapi_base.utils.addresses import Networks

log = structlog.stdlib.get_logger(__name__)


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        sys.exit(f"The settings cannot be used:\n{error}")


def _metrics() -> MetricsEndpoint | None:
    try:
        return MetricsEndpoint(_loaded) if _loaded.metrics.port else None
    except MetricsPortTaken as error:
        sys.exit(str(error))


_loaded = _settings()
# Before any worker is forked: workers share its socket and directory.
_endpoint = _metrics()


class EventLogger(Logger):  # type: ignore[misc]
    """Routes gunicorn's messages to the service's logging. The access log is the application's."""

    def setup(self, cfg: Any) -> None:
        """Called by gunicorn on start and reload."""
        self.cfg = cfg
        configure_logging(_loaded.log, to="stdout")
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.access_log.handlers.clear()
        self.access_log.disabled = True


class DrainingServer(Server):
    """On SIGTERM, readiness fails immediately; the server stops after `seconds`.

    In the meantime, load balancers detect this and send requests elsewhere. If the parent process
    is killed, the server stops at once: nothing would replace or stop it, and the port would stay
    in use.
    """

    def __init__(self, config: Config, seconds: float, parent: int) -> None:
        super().__init__(config)
        self._seconds = seconds
        self._parent = parent
        self._loop: asyncio.AbstractEventLoop | None = None

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second; returns whether to stop."""
        ends = await super().on_tick(counter)
        if not ends and counter % 10 == 0 and os.getppid() != self._parent:
            log.critical("the parent process is gone; this worker finishes its requests and ends")
            drain.start()
            return True
        return ends

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by Python on a signal, between any two steps of the event loop."""
        first = not drain.started()
        drain.start()
        if self._loop and self._seconds and first and sig == signal.SIGTERM:
            end = super().handle_exit
            self._loop.call_soon_threadsafe(self._loop.call_later, self._seconds, end, sig, frame)
        else:
            super().handle_exit(sig, frame)


class Protocol(LimitedProtocol):
    """HTTP with limits from the settings."""

    max_head_bytes = _loaded.api.max_header_bytes
    max_fields = _loaded.api.max_headers
    head_timeout = _loaded.api.header_timeout
    bounds = Connections(
        machine.connections(_loaded.api.max_connections),
        _loaded.api.connections_per_address,
        Networks(_loaded.api.forwarded_allow_ips),
        _loaded.api.write_timeout,
    )


class ApiWorker(UvicornWorker):  # type: ignore[misc]
    """uvicorn with uvloop and httptools. It fails if they are missing, rather than run slowly."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": Protocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        # The application does it (api/middleware/forwarded.py), for all forms of addresses.
        "proxy_headers": False,
        "server_header": False,
        # Shorter than gunicorn's timeout, after which it kills the worker.
        "timeout_graceful_shutdown": max(1, _loaded.api.graceful_timeout - 2),
    }

    sockets: list[Any]
    ppid: int

    def init_signals(self) -> None:
        """Called by gunicorn in the new process, after reading the settings."""
        super().init_signals()
        # A signal that arrived during the fork now has its default action, which ends the process.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # UvicornWorker gave uvicorn the handlers of gunicorn's logger, which has none here.
        logging.getLogger("uvicorn.error").propagate = True

    def run(self) -> None:
        """Called by gunicorn in the new process."""
        # uvloop closes the listening sockets; gunicorn's wrappers report an error for closed ones.
        self.sockets = [listener.sock for listener in self.sockets]
        for listening in self.sockets:
            machine.limit_unread(listening, _loaded.api.write_timeout)
        super().run()

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        # os.getppid() would be wrong here if the parent was killed while this process started.
        server = DrainingServer(self.config, _loaded.api.drain_seconds, self.ppid)

        def quit_now() -> None:
            # gunicorn's quick shutdown: a worker that does not stop is killed eventually.
            drain.start()
            server.should_exit = server.force_exit = True

        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, quit_now)
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


_shared_memory = Path("/dev/shm")  # noqa: S108

wsgi_app = "fastapi_base.main:create_app()"
bind = written((_loaded.api.host, _loaded.api.port))
backlog = _loaded.api.backlog
workers = _loaded.api.workers or machine.workers()
max_requests = _loaded.api.max_requests
max_requests_jitter = _loaded.api.max_requests_jitter
worker_class = ApiWorker
logger_class = EventLogger
timeout = _loaded.api.request_timeout
graceful_timeout = _loaded.api.graceful_timeout + _loaded.api.drain_seconds
keepalive = _loaded.api.keepalive
# Workers are forked from a process that has loaded the application, and share its memory.
preload_app = True
accesslog = None
control_socket_disable = True
proc_name = "fastapi-base-api"
# The heartbeat is the time of a file; on a slow disk, updating it could block the worker.
worker_tmp_dir = str(_shared_memory) if os.access(_shared_memory, os.W_OK) else None


# A new worker starts with its parent's signal handlers, which only queue signals that nothing
# processes in the worker: a worker that is stopped at that moment would run until it is killed.
# Therefore these signals are blocked from before the fork until the worker has reset its handlers.
_ENDING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
os.register_at_fork(
    after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING),
)


def when_ready(arbiter: Any) -> None:
    """Called by gunicorn when it listens, before any request is answered.

    The listening addresses may come from the command line or from the parent process.
    """
    if _loaded.app.environment == "production":
        return
    for listener in arbiter.LISTENERS:
        place = listener.sock.getsockname()
        # A Unix domain socket is local to this machine.
        if not isinstance(place, tuple) or is_loopback(place[0]):
            continue
        if unsafe := public_keys(_loaded, f"{place[0]}:{place[1]}"):
            sys.exit(f"The settings cannot be used:\n{unsafe[0]}")


def pre_fork(_: object, __: object) -> None:
    """Called by gunicorn before each new worker."""
    # A garbage collection writes to every tracked object, which would copy each shared page.
    gc.freeze()
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def pre_exec(arbiter: Any) -> None:
    """Called by gunicorn in the process that becomes its successor (SIGUSR2)."""
    if _endpoint:
        arbiter.cfg.env_orig.update(_endpoint.hand_over())


def post_fork(_: object, __: object) -> None:
    """Called by gunicorn in each new worker, before it loads the application."""
    if _endpoint:
        _endpoint.serve()


def post_worker_init(_: object) -> None:
    """Called by gunicorn in each new worker, after loading the application."""
    write_behind(_loaded.log, sys.stdout)
    # Requests create no reference cycles, and many waiting requests are not garbage. With Python's
    # default thresholds (2,000, 10, 10), collections took a third of the CPU time at 2,000
    # connections.
    gc.set_threshold(50_000, 20, 100)


def on_exit(_: object) -> None:
    """Called by gunicorn when the parent process of the workers exits."""
    if _endpoint:
        _endpoint.close()
