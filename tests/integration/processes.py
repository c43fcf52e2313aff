"""The project's programs, started as processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2

from ops.dev import guard, watchdog
from tests.integration.waiting import until

# Longer than the service takes before it kills processes that do not end (API_GRACEFUL_TIMEOUT).
END_SECONDS = 60
READY_SECONDS = 90
CELERY = (sys.executable, "-m", "celery", "--app=fastapi_base.tasks.app")
RELAY = (sys.executable, "-m", "fastapi_base.cli", "relay")
GUNICORN = (
    sys.executable,
    "-m",
    "gunicorn",
    "--config=python:fastapi_base.gunicorn_conf",
    "fastapi_base.main:create_app()",
)


def environment(**settings: str) -> dict[str, str]:
    """This process's environment, with its module paths and these settings."""
    # Pants' sandbox has relative paths in sys.path, and processes start in other directories.
    modules = os.pathsep.join(str(Path(place).absolute()) for place in sys.path)
    return os.environ | {"PYTHONPATH": modules, **settings}


@contextmanager
def running(
    command: Sequence[str], log: Path, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the directory of its log; it must shut down cleanly when asked to."""
    with guard.process(
        command, log, signal.SIGTERM, environ=environment(**settings), cwd=log.parent
    ) as process:
        try:
            yield process
            assert process.poll() is None, f"the process ended early:\n{log.read_text()}"
            process.terminate()
            assert process.wait(END_SECONDS) == 0, log.read_text()
        except BaseException as error:
            error.add_note(f"The process logged:\n{log.read_text()}")
            raise


def outcome(command: Sequence[str], folder: Path, **settings: str) -> tuple[int, str]:
    """Run a command to completion: its exit code and standard error."""
    result = subprocess.run(
        command,
        env=environment(**settings),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return result.returncode, result.stderr


@contextmanager
def doomed(command: Sequence[str], log: Path, **settings: str) -> Iterator[Callable[[], None]]:
    """Run a command that may die; yields a function that kills it and all its children at once."""
    with guard.process(
        command, log, signal.SIGKILL, environ=environment(**settings), cwd=log.parent
    ) as process:

        def kill() -> None:
            watchdog.send(process.pid, signal.SIGKILL)
            process.wait()

        yield kill


async def serves(port: int | str, path: str = "/health/ready") -> None:
    """Wait until the API at this port answers 200 to this path."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

        async def answered() -> bool | None:
            try:
                return (await client.get(path)).status_code == 200 or None
            except httpx2.TransportError:
                return None

        await until(answered, f"the API answers 200 to {path}", READY_SECONDS)
