"""Our own programs, started as processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops.dev import guard, watchdog

END_SECONDS = 30
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
    """This process's environment, with its modules, and these settings."""
    # The build's sandbox has relative places in sys.path, and processes start elsewhere.
    modules = os.pathsep.join(str(Path(place).absolute()) for place in sys.path)
    return os.environ | {"PYTHONPATH": modules, **settings}


@contextmanager
def running(
    command: Sequence[str], log: Path, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the folder of its log; it must end well when it is asked to."""
    with guard.process(
        command, log, signal.SIGTERM, environ=environment(**settings), cwd=log.parent
    ) as process:
        try:
            yield process
            assert process.poll() is None, f"it ended early:\n{log.read_text()}"
            process.terminate()
            assert process.wait(END_SECONDS) == 0, log.read_text()
        except BaseException as error:
            error.add_note(f"The process said:\n{log.read_text()}")
            raise


def outcome(command: Sequence[str], folder: Path, **settings: str) -> tuple[int, str]:
    """Run a command to its end: its exit code and what it wrote to standard error."""
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
    """Run a command that may die: gives what kills it and all that it started, at once."""
    with guard.process(
        command, log, signal.SIGKILL, environ=environment(**settings), cwd=log.parent
    ) as process:

        def kill() -> None:
            watchdog.send(process.pid, signal.SIGKILL)
            process.wait()

        yield kill
