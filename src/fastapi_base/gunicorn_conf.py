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

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from uvicorn import Config, Server
from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

from fastapi_base.core import drain
from fastapi_base.core.config import Settings, SettingsError
from fastapi_base.core.logging import configure_logging, write_behind
from fastapi_base.core.metrics_endpoint import MetricsEndpoint, MetricsPortTaken
from fastapi_base.serving import machine
from fastapi_base.serving.protocol import LimitedProtocol


def _settings() -> Settings:
    try:
        return Settings.load()
    except SettingsError as error:
        sys.exit(f"The settings cannot be used:\n{error}")


def _metrics() -> MetricsEndpoint | None:
    try:
        return MetricsEndpoint(_loaded) if _loaded.metrics.port else None
    except MetricsPortTaken as error:
        sys.exit(str(error))


_loaded = _settings()
# Before any worker: they share its socket, and its folder.
_endpoint = _metrics()


class EventLogger(Logger):  # type: ignore[misc]
    """Hands gunicorn's messages to our logging. The access log is the application's."""

    def setup(self, cfg: Any) -> None:
        """Called by gunicorn at start and at reload."""
        self.cfg = cfg
        configure_logging(_loaded.log, to="stdout")
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.access_log.handlers.clear()
        self.access_log.disabled = True


class DrainingServer(Server):
    """On SIGTERM readiness fails at once; some seconds later the server finishes and ends.

    In between, load balancers see it and send their requests elsewhere.
    """

    def __init__(self, config: Config, seconds: float) -> None:
        super().__init__(config)
        self._seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by Python when a signal came, between any two steps of the loop."""
        first = not drain.begun()
        drain.begin()
        if self._loop and self._seconds and first and sig == signal.SIGTERM:
            end = super().handle_exit
            self._loop.call_soon_threadsafe(self._loop.call_later, self._seconds, end, sig, frame)
        else:
            super().handle_exit(sig, frame)


class Protocol(LimitedProtocol):
    """HTTP with the limits of the settings."""

    max_head_bytes = _loaded.api.max_header_bytes
    max_fields = _loaded.api.max_headers
    head_timeout = _loaded.api.header_timeout


class ApiWorker(UvicornWorker):  # type: ignore[misc]
    """uvicorn on uvloop and httptools; it fails when they are missing, rather than run slowly."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": Protocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
        # Before gunicorn's own patience ends and it kills the worker.
        "timeout_graceful_shutdown": max(1, _loaded.api.graceful_timeout - 2),
    }

    sockets: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # It gave uvicorn the handlers of gunicorn, which has none of its own here.
        logging.getLogger("uvicorn.error").propagate = True

    def run(self) -> None:
        """Called by gunicorn in the new process."""
        # uvloop closes what it listens on; gunicorn's own objects complain when that was done.
        self.sockets = [listener.sock for listener in self.sockets]
        super().run()

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = DrainingServer(self.config, _loaded.api.drain_seconds)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


_shared_memory = Path("/dev/shm")  # noqa: S108

_host = f"[{_loaded.api.host}]" if ":" in _loaded.api.host else _loaded.api.host
wsgi_app = "fastapi_base.main:create_app()"
bind = f"{_host}:{_loaded.api.port}"
backlog = _loaded.api.backlog
workers = _loaded.api.workers or machine.workers()
max_requests = _loaded.api.max_requests
max_requests_jitter = _loaded.api.max_requests_jitter
worker_class = ApiWorker
logger_class = EventLogger
timeout = _loaded.api.request_timeout
graceful_timeout = _loaded.api.graceful_timeout + _loaded.api.drain_seconds
keepalive = _loaded.api.keepalive
forwarded_allow_ips = ",".join(_loaded.api.forwarded_allow_ips)
reload = _loaded.api.reload
# Workers are forked from one process that has loaded the application, and share its memory.
preload_app = not reload
accesslog = None
control_socket_disable = True
proc_name = "fastapi-base-api"
# The sign of life is a file's time; on a slow disk, writing it could stall the worker.
worker_tmp_dir = str(_shared_memory) if os.access(_shared_memory, os.W_OK) else None


def pre_fork(_: object, __: object) -> None:
    """Called by gunicorn before each new worker."""
    # The collector would write to every object that it looks at, and so make each page a copy.
    gc.freeze()


def pre_exec(arbiter: Any) -> None:
    """Called by gunicorn in the process that becomes its successor (SIGUSR2)."""
    if _endpoint:
        arbiter.cfg.env_orig.update(_endpoint.hand_over())


def post_fork(_: object, __: object) -> None:
    """Called by gunicorn in each new worker, before it loads the application."""
    if _endpoint:
        _endpoint.serve()


def post_worker_init(_: object) -> None:
    """Called by gunicorn in each new worker, when it has loaded the application."""
    write_behind(_loaded.log, sys.stdout)
    # A request leaves no cycles behind, and a crowd that waits is no garbage: looking through it at
    # Python's own pace (2,000, 10, 10) took a third of the processor time of 2,000 connections.
    gc.set_threshold(50_000, 20, 100)


def on_exit(_: object) -> None:
    """Called by gunicorn at the end of the process that started the workers."""
    if _endpoint:
        _endpoint.close()
