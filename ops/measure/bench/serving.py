"""Runs the service as separate processes on throwaway servers, for programs that measure it."""

import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import typer

from ops.dev import guard, places, postgres, waiting
from ops.dev.postgres import Postgres
from ops.dev.redis import Redis

ROOT = Path(__file__).parents[3]
SECRET = "benchmark-secret-of-more-than-32-bytes"
EMAIL, PASSWORD = "ada@example.com", "correct horse battery staple"
READY_SECONDS = 60
SESSIONS = 8


@dataclass(frozen=True)
class Subject:
    """A running server program."""

    name: str
    url: str
    process: psutil.Process
    # Seconds from its start to its first successful reply.
    started: float

    def cpu(self) -> float:
        """CPU seconds used so far by it and its children."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(sum(member.cpu_times()[:2]) for member in family)

    def memory(self) -> float:
        """Megabytes of the serving process: its private memory and its share of shared memory."""
        serving = [*self.process.children(recursive=True), self.process][0]
        return round(float(serving.memory_full_info().pss) / 1e6, 1)


@contextmanager
def servers(folder: Path, *options: str) -> Iterator[dict[str, str]]:
    """A migrated PostgreSQL, and Redis; yields the service's settings for them.

    `options` are PostgreSQL's. Raises typer.Exit if the migrations fail.
    """
    with running(folder, *options) as (server, redis):
        yield migrated(folder, server, redis)


@contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[Postgres, Redis]]:
    """An empty PostgreSQL, and Redis. `options` are PostgreSQL's."""
    server = Postgres(folder / "data", places.free_port(), "benchmark", options)
    server.prepare(postgres.throwaway_run)
    redis = Redis(places.free_port())
    with (
        guard.process(server.command(), folder / "postgres.log", signal.SIGINT) as one,
        guard.process(
            redis.command(), folder / "redis.log", signal.SIGTERM, redis.configuration()
        ) as two,
    ):
        log = folder / "postgres.log"
        waiting.until_serves(one, log, server.ready, "PostgreSQL", READY_SECONDS)
        waiting.until_serves(two, folder / "redis.log", redis.ready, "Redis", READY_SECONDS)
        yield server, redis


def migrated(folder: Path, server: Postgres, redis: Redis) -> dict[str, str]:
    """The service's settings for these servers, after creating its tables. Raises typer.Exit."""
    environ = {
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
        "DATABASE_URL": server.ensure_database("bench", "bench", "benchmark"),
        "REDIS_URL": redis.url(),
        "AUTH_JWT_SECRET": SECRET,
        "API_WORKERS": "1",
        "LOG_FORMAT": "json",
        # Enabled, and never reached.
        "RATE_LIMIT_PRINCIPAL": "100000000/minute",
        "RATE_LIMIT_ADDRESS": "100000000/minute",
        "RATE_LIMIT_ROUTES": "POST /api/v1/jobs/word-count=100000000/minute",
        "METRICS_PORT": str(places.free_port()),
        "THROTTLE_PAIR_ATTEMPTS": "1000000",
        "THROTTLE_ADDRESS_ATTEMPTS": "1000000",
        "THROTTLE_ACCOUNT_ATTEMPTS": "1000000",
    }
    command = [sys.executable, "-m", "fastapi_base.cli", "migrate"]
    with guard.process(command, folder / "migrate.log", signal.SIGTERM, environ=environ) as step:
        if step.wait(READY_SECONDS):
            raise typer.Exit(1)
    return environ


@contextmanager
def api(folder: Path, environ: dict[str, str], name: str = "ours") -> Iterator[Subject]:
    """The API, run by gunicorn."""
    command = [sys.executable, "-m", "gunicorn", "--config", "python:fastapi_base.gunicorn_conf"]
    command.append("fastapi_base.main:create_app()")
    with process(name, command, places.free_port(), folder, environ) as subject:
        yield subject


@contextmanager
def process(
    name: str,
    command: Sequence[str],
    port: int,
    folder: Path,
    environ: Mapping[str, str],
    *,
    live: str = "/health/live",
    cwd: Path | None = None,
) -> Iterator[Subject]:
    """A program that serves at this port; its log is `name`.log.

    It counts as serving as soon as `live` answers 200.
    """
    url = f"http://{places.LOOPBACK}:{port}"
    given = {**environ, "API_PORT": str(port)}
    log = folder / f"{name}.log"
    begun = time.monotonic()
    with guard.process(command, log, signal.SIGTERM, environ=given, cwd=cwd) as child:

        def ready() -> bool:
            try:
                return httpx2.get(f"{url}{live}", timeout=5).status_code == 200
            except httpx2.TransportError:
                return False

        waiting.until_serves(child, log, ready, name, READY_SECONDS)
        started = round(time.monotonic() - begun, 2)
        yield Subject(name, url, psutil.Process(child.pid), started)


@contextmanager
def background(folder: Path, environ: dict[str, str], metrics: int) -> Iterator[psutil.Process]:
    """A relay and a worker with its metrics at this port; yields the worker."""
    relay = [sys.executable, "-m", "fastapi_base.cli", "relay"]
    worker = [sys.executable, "-m", "celery", "--app=fastapi_base.tasks.app", "worker"]
    given = {**environ, "CELERY_CONCURRENCY": "1", "METRICS_PORT": str(metrics)}
    with (
        guard.process(relay, folder / "relay.log", signal.SIGTERM, environ=environ),
        guard.process(worker, folder / "worker.log", signal.SIGTERM, environ=given) as child,
    ):
        log = folder / "worker.log"
        waiting.until_serves(
            child, log, lambda: places.listens(metrics), "the worker", READY_SECONDS
        )
        yield psutil.Process(child.pid)


def log_in(subject: Subject) -> list[str]:
    """Access tokens of several sessions."""
    with httpx2.Client(base_url=subject.url, timeout=30) as client:
        account = {"email": EMAIL, "password": PASSWORD}
        client.post("/api/v1/auth/register", json=account).raise_for_status()
        return tokens(client, "/api/v1/auth/login", EMAIL)


def tokens(client: httpx2.Client, url: str, username: str) -> list[str]:
    """Access tokens of several sessions, with OAuth2's password form (RFC 6749, 4.3)."""
    form = {"username": username, "password": PASSWORD}
    replies = [client.post(url, data=form) for _ in range(SESSIONS)]
    return [reply.raise_for_status().json()["access_token"] for reply in replies]
