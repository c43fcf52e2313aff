"""Measure how long the API takes from the start of its container to its first reply.

    make load && python -m ops.measure.bench.start [--rounds 7] [--json FILE]

Runs the images that `make load` has loaded, on a separate network. Each round starts, in turn, the
API and a bare server of the standard library in the same image, which shows the share of the
container engine and the interpreter. The phases are measured inside the image, in a process each.
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from ops.dev import waiting

READY_SECONDS = 60.0
PYTHON = "/usr/bin/python3.13"
BARE = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
HTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""
PARTS = """
import asyncio, json, time
marks = [time.perf_counter()]
import fastapi_base.gunicorn_conf, fastapi_base.main
marks.append(time.perf_counter())
fastapi_base.main.create_app()
marks.append(time.perf_counter())
from fastapi_base.core.config import load_settings, Settings
from fastapi_base.db.database import EngineDatabase, check
from fastapi_base.db.engine import create_engine
async def connect():
    settings = load_settings().database
    engine = create_engine(settings, "bench")
    await check(EngineDatabase.of(settings, engine))
    marks.append(time.perf_counter())
    await engine.dispose()
asyncio.run(connect())
names = ("imports", "application", "first connection of the pool")
print(json.dumps({name: b - a for name, a, b in zip(names, marks, marks[1:])}))
"""


def docker(*arguments: str) -> str:
    """The output of the client; exits if it fails."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"docker {' '.join(arguments[:2])} failed: {done.stderr.strip()}")
    return done.stdout.strip()


class Containers:
    """Containers on a separate network."""

    def __init__(self) -> None:
        self.network = f"fastapi-base-start-{secrets.token_hex(4)}"
        self._started: list[str] = []
        docker("network", "create", self.network)

    def create(
        self, image: str, environ: dict[str, str], *options: str, command: Sequence[str] = ()
    ) -> str:
        """The ID of a container of the image that is not running yet."""
        given = [part for name in environ for part in ("--env", f"{name}={environ[name]}")]
        one = docker(
            *("create", "--network", self.network, "--read-only", "--tmpfs", "/tmp"),  # noqa: S108
            *(*given, *options, f"fastapi-base/{image}:latest", *command),
        )
        self._started.append(one)
        return one

    def remove(self, container: str) -> None:
        """Stop and remove it."""
        docker("rm", "--force", "--volumes", container)
        self._started.remove(container)

    def close(self) -> None:
        """Remove the remaining containers."""
        for container in [*self._started]:
            self.remove(container)
        docker("network", "rm", self.network)


def replies(url: str) -> bool:
    """Whether a GET request succeeds."""
    try:
        with urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False


@contextmanager
def service() -> Iterator[tuple[Containers, dict[str, str]]]:
    """A migrated PostgreSQL, and Redis; yields the API's settings."""
    password = secrets.token_hex(12)
    given = {"POSTGRES_USER": "bench", "POSTGRES_PASSWORD": password, "POSTGRES_DB": "bench"}
    containers = Containers()
    try:
        servers = {"postgres": given, "redis": {}}
        for name, environ in servers.items():
            container = containers.create(name, environ, "--network-alias", name)
            docker("start", container)

            def healthy(container: str = container) -> bool:
                return docker("inspect", "-f", "{{.State.Health.Status}}", container) == "healthy"

            waiting.until(healthy, name, READY_SECONDS)
        environ = {
            "ENVIRONMENT": "test",
            "DATABASE_URL": f"postgresql://bench:{password}@postgres:5432/bench",
            "REDIS_URL": "redis://redis:6379/0",
            "API_WORKERS": "1",
        }
        migrate = containers.create("migrate", environ)
        docker("start", "--attach", migrate)
        containers.remove(migrate)
        yield containers, environ
    finally:
        containers.close()


def started(
    containers: Containers, environ: dict[str, str], paths: Sequence[str], *bare: str
) -> list[float]:
    """Seconds from the start of a container to the first successful reply of each path, in
    order.
    """
    options = ("--publish", "127.0.0.1::8000", *(("--entrypoint", PYTHON) if bare else ()))
    container = containers.create("api", environ, *options, command=bare)
    try:
        begun = time.perf_counter()
        docker("start", container)
        url = "http://" + docker("port", container, "8000/tcp")
        seconds = []
        for path in paths:

            def served(path: str = path) -> bool:
                return replies(url + path)

            waiting.until(served, path, READY_SECONDS, pause=0.005)
            seconds.append(time.perf_counter() - begun)
        return seconds
    finally:
        containers.remove(container)


def measure(rounds: int) -> dict[str, list[float]]:
    """The seconds of each round, by measurement."""
    seconds: dict[str, list[float]] = {}
    with service() as (containers, environ):
        for number in range(rounds + 1):
            live, ready = started(containers, environ, ["/health/live", "/health/ready"])
            (bare,) = started(containers, environ, ["/"], "-c", BARE)
            inside = containers.create(
                "api", environ, "--entrypoint", PYTHON, command=["-c", PARTS]
            )
            parts = json.loads(docker("start", "--attach", inside).splitlines()[-1])
            containers.remove(inside)
            if number:
                took = {"first reply": live, "ready": ready, "bare server": bare, **parts}
                for name, value in took.items():
                    seconds.setdefault(name, []).append(round(value, 3))
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the medians, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="output file for all figures, as JSON")
    chosen = parser.parse_args(arguments)
    seconds = measure(chosen.rounds)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    if chosen.json:
        figures = {"cpus": os.cpu_count(), "seconds": seconds, "medians": medians}
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    print("| | s |\n|---|---|")
    for name, value in medians.items():
        print(f"| {name} | {value:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
