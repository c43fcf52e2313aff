"""PostgreSQL, Redis, relays and workers as processes that can be killed one by one."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import redis

from fastapi_base.core.config import DatabaseSettings, RedisSettings, Settings
from fastapi_base.migrations import runner
from ops.chaos.proxy import Proxy
from ops.dev import places, postgres, waiting
from ops.dev.postgres import Postgres
from ops.dev.redis import Redis

READY_SECONDS = 90.0
# Nothing waits for the disk, since no machine crashes here. A commit that is confirmed has left the
# server's own memory: else its crash would lose it, as it may where synchronous_commit is off.
NO_DISK = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=on")
CELERY = (sys.executable, "-m", "celery", "--app=fastapi_base.tasks.app")
WORKER = (*CELERY, "worker", "--include=ops.chaos.effects", "--without-gossip", "--without-mingle")
COMMANDS: dict[str, Sequence[str]] = {
    "relay": (sys.executable, "-m", "fastapi_base.cli", "relay"),
    "worker": (*WORKER, "--concurrency=1"),
    "beat": (*CELERY, "beat", "--scheduler=ops.chaos.beating:Scheduler"),
    "threads": (*WORKER, "--pool=threads", "--concurrency=8"),
}
API = (
    *(sys.executable, "-m", "gunicorn", "--config=python:fastapi_base.gunicorn_conf"),
    "fastapi_base.main:create_app()",
)


class Stack:
    """Use as a context: at its end everything that was started is killed."""

    def __init__(self, folder: Path, relays: int = 2, workers: int = 2) -> None:
        self._folder = folder
        # Nothing on disk: a Redis that is killed has lost all that it had.
        self._redis = Redis(places.free_port())
        # Between Redis and all who use it.
        self.network = Proxy(self._redis.port)
        self._api_port = places.free_port()
        self._postgres = Postgres(
            folder / "data", places.free_port(), secrets.token_urlsafe(12), NO_DISK
        )
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.relays = [f"relay-{number}" for number in range(relays)]
        self.workers = [f"worker-{number}" for number in range(workers)]
        # Started by whom they serve.
        self.beats = ["beat-0", "beat-1"]
        self._contexts = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._contexts.enter_context(self.network)
            self._postgres.prepare(postgres.throwaway_run)
            self.start_postgres()
            self.start_redis()
            runner.upgrade(self._database_url)
            for name in [*self.relays, *self.workers, "threads-0"]:
                self.start(name)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.settings = Settings(
            database=DatabaseSettings.model_validate({"url": self._database_url}),
            redis=RedisSettings.model_validate({"url": self._redis_url}),
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in reversed(list(self._processes)):
            self.kill(name, signal.SIGQUIT if name == "postgres" else signal.SIGKILL)
        self._contexts.close()

    @property
    def _redis_url(self) -> str:
        return f"redis://{places.LOOPBACK}:{self.network.port}/0"

    @property
    def api_url(self) -> str:
        """Where the API's routes are."""
        return f"http://{places.LOOPBACK}:{self._api_port}/api/v1"

    @property
    def _database_url(self) -> str:
        return self._postgres.url().replace("postgresql://", "postgresql+asyncpg://", 1)

    def start_postgres(self) -> None:
        """Start PostgreSQL, and wait until it serves."""
        self._spawn("postgres", self._postgres.command())
        self._wait(self._postgres.ready, "PostgreSQL")

    def start_redis(self) -> None:
        """Start Redis, empty, and wait until it serves."""
        self._spawn("redis", self._redis.command(), self._redis.configuration())
        self._wait(self._redis.ready, "Redis")

    def start_api(self) -> None:
        """Start the API with one process that answers, and wait until it does."""
        self._spawn("api", API)
        self._wait(lambda: places.listens(self._api_port), "the API")

    def start(self, name: str) -> None:
        """Start a relay, a worker or a Beat."""
        command = [*COMMANDS[name.partition("-")[0]]]
        if name not in {*self.relays, *self.beats}:
            command.append(f"--hostname={name}@chaos")
        self._spawn(name, command)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End a process at once, with those that it started."""
        process = self._processes.pop(name)
        try:
            family = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        process.send_signal(number)
        process.wait()
        if number == signal.SIGKILL:
            for child in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()

    def kill_child(self, name: str) -> None:
        """End the process that does the work, not the one that watches over it."""
        for child in psutil.Process(self._processes[name].pid).children():
            child.kill()

    def flush(self) -> None:
        """Have Redis forget everything."""
        client = redis.Redis.from_url(self._redis.url())
        client.flushall()
        client.close()

    def _spawn(self, name: str, command: Sequence[str], stdin: bytes | None = None) -> None:
        modules = os.pathsep.join(str(Path(place).absolute()) for place in sys.path)
        environment = os.environ | {
            "PYTHONPATH": modules,
            "DATABASE_URL": self._database_url,
            "REDIS_URL": self._redis_url,
            "LOG_FORMAT": "json",
            "API_PORT": str(self._api_port),
            "API_WORKERS": "1",
            "RATE_LIMIT_ENABLED": "false",
            "JOBS_LEASE_SECONDS": "5",
        }
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes[name] = process
        if process.stdin and stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        waiting.until(ready, what, READY_SECONDS, said=lambda: f"see {self._folder}")
