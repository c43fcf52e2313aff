"""The commands and changes of docs/tutorial.md, as they stand there."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ops.dev import places
from ops.dev.places import free_port
from ops.template.formatting import ruff
from tests.ops.dev.helpers import Run
from tests.ops.template.new import templates

PAGE = Path("docs/tutorial.md")
_BLOCK = re.compile(r"^```(bash|diff) (tutorial|up)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 300
_FILES = re.compile(r"--- a/(\S+)\n\+\+\+ b/\1\n")


def blocks() -> list[tuple[str, str, str]]:
    """The language, the label and the text of each block that readers run or apply."""
    return _BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def patch(root: Path, diff: str) -> None:
    """Apply a diff whose hunks have no line numbers: each context occurs once."""
    _, *parts = _FILES.split(diff)
    assert parts
    for name, hunks in zip(parts[::2], parts[1::2], strict=True):
        text = (root / name).read_text(encoding="utf-8")
        for hunk in re.split(r"^@@\n", hunks, flags=re.MULTILINE)[1:]:
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] or "\n" for line in lines if line[0] != "+")
            new = "".join(line[1:] or "\n" for line in lines if line[0] != "-")
            assert text.count(old) == 1, hunk
            text = text.replace(old, new)
        (root / name).write_text(text, encoding="utf-8")


def test_changes_fit_the_generated_code(tmp_path: Path) -> None:
    """The resources of the page in the package of the template, and its changes to them."""
    root = tmp_path / "copy"
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
    for place in ("src", "ops", "tests", "3rdparty/python"):
        shutil.copytree(place, root / place, ignore=ignored)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(name, root)
    commands = [text for language, _, text in blocks() if language == "bash"]
    made = [line for text in commands for line in text.splitlines() if "make resource" in line]
    assert len(made) == 2
    for line in made:
        done = subprocess.run(
            ["bash", "-euc", line], cwd=root, env=environ(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    diffs = [text for language, _, text in blocks() if language == "diff"]
    assert len(diffs) == 2
    for diff in diffs:
        patch(root, diff.replace("shop", "fastapi_base"))
    ruff.check(root, ruff.program(root), ["src", "tests"])


def environ(**more: str) -> dict[str, str]:
    """The environment of a person, with the caches of this machine."""
    dropped = ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "TEST_SERVERS")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "FASTAPI_BASE_CACHE": str(places.cache()), **more}


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
