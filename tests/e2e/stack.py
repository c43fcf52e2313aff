"""Starts the shipped binaries as processes, as an operator would, and stops them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen

import asyncpg

from ops.dev import waiting
from ops.dev.guard import Guard
from ops.dev.places import free_port

START_SECONDS = 90
STOP_SECONDS = 30


@dataclass(frozen=True)
class Binaries:
    """The PEX files of one build; `suffix` is that of the target's name, such as ``-linux``."""

    suffix: str

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command line of a program, on the interpreter that runs the tests."""
        pex = Path(f"fastapi-base-{program}{self.suffix}.pex").resolve(strict=True)
        return [sys.executable, str(pex), *arguments]


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """A process environment with only the given settings and a private PEX cache."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PEX_ROOT": str(folder / "pex"),
        "LANG": "C.UTF-8",
        **settings,
    }


def create_database(admin_url: str, name: str) -> str:
    """Create an empty database on the server of the URL, and return its URL."""

    async def create() -> None:
        connection = await asyncpg.connect(admin_url)
        try:
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()

    asyncio.run(create())
    return urlunsplit(urlsplit(admin_url)._replace(path=f"/{name}"))


@contextmanager
def process(name: str, command: Sequence[str], env: dict[str, str], log: Path) -> Iterator[None]:
    """Run a command beside the test; it must exit cleanly when asked to stop.

    It also ends when the test is killed: otherwise it would take the jobs of later tests.
    """
    guard = Guard()
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            env=env,
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    guard.add(child.pid, signal.SIGTERM)
    try:
        yield
        assert child.poll() is None, f"{name} ended early:\n{log.read_text()}"
        child.terminate()
        assert child.wait(STOP_SECONDS) == 0, f"{name} failed to stop:\n{log.read_text()}"
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        guard.remove(child.pid)
        guard.close()


def wait_for_reply(url: str, said: Callable[[], str] = lambda: "") -> None:
    """Wait until a GET of the URL succeeds."""

    def replies() -> bool:
        try:
            with urlopen(url, timeout=5) as reply:
                reply.read()
        except (URLError, OSError):
            return False
        return True

    waiting.until(replies, f"a reply of {url}", START_SECONDS, said=said)


def last_heartbeat(url: str) -> str | None:
    """When the worker last ran a heartbeat of Beat; None if never."""
    with urlopen(f"{url}/health/ready", timeout=5) as reply:
        seen: str | None = json.load(reply)["last_heartbeat"]
    return seen


def wait_for_heartbeat(url: str, after: str | None, said: Callable[[], str] = lambda: "") -> None:
    """Wait until the worker ran a later heartbeat of Beat than this one."""
    waiting.until(
        lambda: last_heartbeat(url) not in (None, after),
        f"a heartbeat of Beat through the worker after {after}",
        START_SECONDS,
        said=said,
    )


@contextmanager
def running(binaries: Binaries, folder: Path, database_url: str, redis_url: str) -> Iterator[str]:
    """Migrate, then run API, relay, worker and Beat; yields the API's URL."""
    port = free_port()
    env = environment(
        folder,
        ENVIRONMENT="test",
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        API_PORT=str(port),
        API_WORKERS="1",
        CELERY_CONCURRENCY="1",
        CELERY_HEARTBEAT_SECONDS="1",
        AUTH_BCRYPT_ROUNDS="4",
    )
    subprocess.run(binaries.command("migrate", "migrate"), env=env, cwd=folder, check=True)
    with ExitStack() as stack:
        for name, command in {
            "relay": binaries.command("migrate", "relay"),
            "worker": binaries.command("worker", "worker"),
            "beat": binaries.command("worker", "beat"),
            "api": binaries.command("api"),
        }.items():
            stack.enter_context(process(name, command, env, folder / f"{name}.log"))
        url = f"http://127.0.0.1:{port}"
        wait_for_reply(f"{url}/health/ready", (folder / "api.log").read_text)
        # The README's tour gives its job ten seconds, and a worker may still be unpacking itself.
        # Redis may know a heartbeat of an earlier stack.
        wait_for_heartbeat(url, last_heartbeat(url), (folder / "worker.log").read_text)
        yield url
