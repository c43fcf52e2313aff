"""The commands and changes of docs/tutorial.md, as they stand there."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ops.dev.places import free_port
from tests.ops.dev.helpers import Run
from tests.ops.template.new import templates
from tests.ops.template.new.tutorial import blocks, environ, patch

SECONDS = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a clone of the template."""
    templates.whole(tmp_path / "fastapi-base")
    return tmp_path


@contextmanager
def up(root: Path, command: str, port: int) -> Iterator[None]:
    """The service, as the page starts it, on a free port."""
    settings = {"API_PORT": str(port), "API_WORKERS": "1", "CELERY_CONCURRENCY": "1"}
    free = dict.fromkeys(("UP_POSTGRES_PORT", "UP_REDIS_PORT", "UP_STATUS_PORT"), "0")
    with subprocess.Popen(
        ["bash", "-euc", f"exec {command}"],
        cwd=root,
        env=environ(**settings, **free, BROWSER="true", PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as popen:
        started = Run(popen)
        try:
            started.expect("Ctrl-C stops everything", SECONDS)
            yield
        finally:
            os.killpg(popen.pid, signal.SIGINT)
            started.finish(SECONDS)


def test_page_as_it_stands(folder: Path) -> None:
    root, port = folder / "fastapi-base", free_port()
    printed: list[str] = []
    with ExitStack() as stack:
        for language, label, text in blocks():
            if label == "up":
                stack.enter_context(up(root, text.strip(), port))
            elif language == "diff":
                patch(root, text)
            else:
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", f"{text}\npwd"],
                    cwd=root,
                    env=environ(API=f"http://127.0.0.1:{port}"),
                    capture_output=True,
                    text=True,
                    timeout=SECONDS,
                )
                assert done.returncode == 0, done.stdout + done.stderr
                *lines, place = done.stdout.splitlines()
                root = Path(place)
                printed += lines
    assert root == folder / "shop"
    tests = [line for line in printed if re.fullmatch(r"\d+ passed.* in .*", line)]
    assert len(tests) == 3
    (order,) = (line for line in printed if line.startswith("{") and '"version":2' in line)
    assert json.loads(order)["status"] == "paid"
    assert not list((root / "src/shop").rglob("items.py"))
