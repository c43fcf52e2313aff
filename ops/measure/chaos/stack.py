"""PostgreSQL, Redis, relays and workers as processes that can be killed individually."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import psutil
import redis

from fastapi_base.core.config import DatabaseSettings, RedisSettings, Settings
from fastapi_base.migrations import runner
from ops.dev import places, postgres, waiting
from ops.dev.postgres import Postgres
from ops.dev.redis import Redis
from ops.measure.chaos.proxy import Proxy

READY_SECONDS = 90.0
# No fsync, since no machine crashes here. A confirmed commit has left the server's own memory:
# otherwise a server crash would lose it, as is possible with synchronous_commit off.
NO_DISK = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=on")
CELERY = (sys.executable, "-m", "celery", "--app=fastapi_base.tasks.app")
WORKER = (
    *CELERY,
    "worker",
    "--include=ops.measure.chaos.effects",
    "--without-gossip",
    "--without-mingle",
)
COMMANDS: dict[str, Sequence[str]] = {
    "relay": (sys.executable, "-m", "fastapi_base.cli", "relay"),
    "worker": (*WORKER, "--concurrency=1"),
    "beat": (*CELERY, "beat", "--scheduler=ops.measure.chaos.beating:Scheduler"),
    "threads": (*WORKER, "--pool=threads", "--concurrency=8"),
}
API, SECOND_API = "api", "api-1"
GUNICORN = (
    *(sys.executable, "-m", "gunicorn", "--config=python:fastapi_base.gunicorn_conf"),
    "fastapi_base.main:create_app()",
)


class Stack:
    """Use as a context: at its end everything that was started is killed."""

    def __init__(
        self,
        folder: Path,
        relays: int = 2,
        workers: int = 2,
        threads: int = 1,
        *,
        snapshots: bool = False,
    ) -> None:
        """With `snapshots` Redis starts with the last state of save_redis(), otherwise empty."""
        self._folder = folder
        self._redis = Redis(places.free_port(), data=folder / "redis" if snapshots else None)
        # Between Redis and all its clients except the second API, which has its own network.
        self.network, self.second_network = Proxy(self._redis.port), Proxy(self._redis.port)
        self._api_ports = {API: places.free_port(), SECOND_API: places.free_port()}
        self._postgres = Postgres(
            folder / "data", places.free_port(), secrets.token_urlsafe(12), NO_DISK
        )
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.relays = [f"relay-{number}" for number in range(relays)]
        self.workers = [f"worker-{number}" for number in range(workers)]
        self._threads = [f"threads-{number}" for number in range(threads)]
        # Started by the loads that need them.
        self.beats = ["beat-0", "beat-1"]
        self._contexts = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._contexts.enter_context(self.network)
            self._contexts.enter_context(self.second_network)
            self._redis.prepare()
            self._postgres.prepare(postgres.throwaway_run)
            self.start_postgres()
            self.start_redis()
            runner.upgrade(self._database_url)
            for name in [*self.relays, *self.workers, *self._threads]:
                self.start(name)
        except BaseException:
            self.__exit__()
            raise
        self.settings = Settings(
            database=DatabaseSettings.model_validate({"url": self._database_url}),
            redis=RedisSettings.model_validate({"url": _redis_url(self.network)}),
        )
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self._processes)):
            self.kill(name, signal.SIGQUIT if name == "postgres" else signal.SIGKILL)
        self._contexts.close()

    @property
    def api_url(self) -> str:
        """The base URL of the API's routes."""
        return self.url_of(API)

    def url_of(self, api: str) -> str:
        """The base URL of the routes of the first or of the second API."""
        return f"http://{places.LOOPBACK}:{self._api_ports[api]}/api/v1"

    @property
    def _database_url(self) -> str:
        return self._postgres.url().replace("postgresql://", "postgresql+asyncpg://", 1)

    def start_postgres(self) -> None:
        """Start PostgreSQL, and wait until it is ready."""
        self._spawn("postgres", self._postgres.command())
        self._wait(self._postgres.ready, "PostgreSQL")

    def start_redis(self) -> None:
        """Start Redis, and wait until it is ready. It is empty, or has the last saved state."""
        configuration = self._redis.configuration() + b"appendonly no\nsave ''\n"
        self._spawn("redis", self._redis.command(), configuration)
        self._wait(self._redis.ready, "Redis")

    def save_redis(self) -> None:
        """Make Redis save its current state to the file that it starts from."""
        client = redis.Redis.from_url(self._redis.url())
        client.save()
        client.close()

    def start_api(self, name: str = API) -> None:
        """Ensure that an API with one worker process runs, and wait until it answers."""
        if name not in self._processes:
            self._spawn(name, GUNICORN)
        self._wait(lambda: places.listens(self._api_ports[name]), "the API")

    def start(self, name: str) -> None:
        """Start a relay, a worker or a Beat."""
        command = [*COMMANDS[name.partition("-")[0]]]
        if name not in {*self.relays, *self.beats}:
            command.append(f"--hostname={name}@chaos")
        self._spawn(name, command)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill a process at once, with its children."""
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

    def pause(self, name: str) -> None:
        """Suspend a process: connections stay open, and nothing is answered."""
        self._processes[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """Resume a suspended process."""
        self._processes[name].send_signal(signal.SIGCONT)

    def kill_child(self, name: str) -> None:
        """Kill the process that does the work, not its supervisor."""
        for child in psutil.Process(self._processes[name].pid).children():
            child.kill()

    def flush(self) -> None:
        """Make Redis delete everything."""
        with self.redis() as client:
            client.flushall()

    def redis(self) -> redis.Redis:
        """A client of Redis itself, bypassing the network, that holds one connection."""
        return redis.Redis.from_url(self._redis.url(), single_connection_client=True)

    def _spawn(self, name: str, command: Sequence[str], stdin: bytes | None = None) -> None:
        network = self.second_network if name == SECOND_API else self.network
        modules = os.pathsep.join(str(Path(place).absolute()) for place in sys.path)
        environment = os.environ | {
            "PYTHONPATH": modules,
            "DATABASE_URL": self._database_url,
            "REDIS_URL": _redis_url(network),
            "LOG_FORMAT": "json",
            "API_PORT": str(self._api_ports.get(name, self._api_ports[API])),
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


def _redis_url(network: Proxy) -> str:
    return f"redis://{places.LOOPBACK}:{network.port}/0"
