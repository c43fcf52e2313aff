"""The processes of `make up`, in start order."""

import http.client
import signal
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from celery import Celery

from ops.dev.postgres import Postgres
from ops.dev.processes import Process, Ready, Supervisor
from ops.dev.redis import Redis

DATABASE = "fastapi_base"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stack:
    """The service and its servers. ``environ`` is added to the environment of the service's
    processes.
    """

    postgres: Postgres
    redis: Redis
    host: str
    port: int
    # The metrics ports of the API and of the worker.
    metrics: tuple[int, int]
    environ: Mapping[str, str]
    # The processes that are not started, because they run in a debugger.
    without: Collection[str] = ()

    def start(self, supervisor: Supervisor, service_password: str) -> dict[str, str]:
        """Start everything and wait until it serves. Raises UpError or Interrupted.

        Returns the environment of the service's processes.
        """

        def run(command: list[str], purpose: str) -> None:
            supervisor.say(purpose)
            supervisor.run(Process("postgres", tuple(command), quiet=True))

        self.postgres.prepare(run)
        self.redis.prepare()
        supervisor.start(self._postgres())
        database = self.postgres.ensure_database(DATABASE, DATABASE, service_password)
        supervisor.start(self._redis(supervisor))
        environ = {**self.environ, "DATABASE_URL": database, "REDIS_URL": self.redis.url()}
        for step in ("migrate", "create-admin"):
            supervisor.run(
                _python(
                    "migrate",
                    "fastapi_base.cli",
                    step,
                    environ=environ,
                    # New code may come with new migrations, and fails without them.
                    reloads=step == "migrate",
                )
            )
        service = (
            self._api(environ),
            _relay(environ),
            self._worker(environ),
            self._beat(environ),
        )
        supervisor.start(*(one for one in service if one.name not in self.without))
        return environ

    def _postgres(self) -> Process:
        return Process(
            "postgres",
            tuple(self.postgres.command()),
            ready=self.postgres.ready,
            # Fast shutdown: open sessions are cut, and nothing committed is lost.
            stop_signal=signal.SIGINT,
        )

    def _redis(self, supervisor: Supervisor) -> Process:
        return Process(
            "redis",
            tuple(self.redis.command(supervisor.say)),
            stdin=self.redis.configuration(),
            ready=self.redis.ready,
        )

    def _api(self, environ: Mapping[str, str]) -> Process:
        return _python(
            "api",
            "gunicorn",
            "--config",
            "python:fastapi_base.gunicorn_conf",
            "fastapi_base.main:create_app()",
            environ={**environ, "METRICS_PORT": str(self.metrics[0])},
            ready=self._api_ready,
        )

    def _api_ready(self) -> bool:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _worker(self, environ: Mapping[str, str]) -> Process:
        arguments = ("--quiet", "--app", "fastapi_base.tasks.app", "worker")
        environ = {**environ, "METRICS_PORT": str(self.metrics[1])}
        return _python("worker", "celery", *arguments, environ=environ, ready=self._worker_ready)

    def _worker_ready(self) -> bool:
        with Celery(broker=self.redis.url(), set_as_current=False) as client:
            return bool(client.control.ping(timeout=0.5))

    def _beat(self, environ: Mapping[str, str]) -> Process:
        # The supervisor knows the process ID; a file would only litter the working folder.
        arguments = ("--quiet", "--app", "fastapi_base.tasks.app", "beat", "--pidfile=")
        return _python("beat", "celery", *arguments, environ=environ)


def _relay(environ: Mapping[str, str]) -> Process:
    return _python("relay", "fastapi_base.cli", "relay", environ=environ)


def _python(
    name: str,
    module: str,
    *arguments: str,
    environ: Mapping[str, str],
    ready: Ready | None = None,
    reloads: bool = True,
) -> Process:
    return Process(
        name,
        (sys.executable, "-m", module, *arguments),
        environ=environ,
        cwd=ROOT,
        ready=ready,
        reloads=reloads,
    )
