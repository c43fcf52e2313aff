"""Formats a tree with the locked version of Ruff, which is installed into the cache once.

`make fmt` cannot do this: Pants formats only its own repository, which the files of a new one are
not part of. Pants also takes minutes on its first run, while the commands of `ops/template` need
only Python and take seconds.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_LOCK = "3rdparty/python/tools.lock"
_CACHE = Path("fastapi-base/ruff")
_STEPS = (("check", "--fix", "--exit-zero"), ("format",))


class FormatError(RuntimeError):
    """The tree could not be formatted; the message says why."""


def program(root: Path) -> Path:
    """The program, as locked below ``root``. Raises FormatError if it cannot be installed."""
    lock = (root / _LOCK).read_text(encoding="utf-8")
    found = re.search(r"^ruff==(?:.*\\\n)*.*\n", lock, re.MULTILINE)
    if found is None:
        raise FormatError(f"{_LOCK} has no ruff")
    file = _cache() / hashlib.sha256(found[0].encode()).hexdigest()[:16]
    try:
        if not file.exists():
            _install(found[0], file)
    except OSError as error:
        raise FormatError(f"{file} cannot be written: {error.strerror}") from None
    return file


def format_tree(
    target: Path, ruff: Path, *further: tuple[str, ...], files: Sequence[str] = (".",)
) -> None:
    """Apply fixes such as sorting imports, and format; then further steps. Raises FormatError.

    Without ``files``, this concerns all files.
    """
    for step in (*_STEPS, *further):
        _run([str(ruff), *step, "--quiet", "--no-cache", *files], target)


def check(target: Path, ruff: Path, files: Sequence[str]) -> None:
    """Raise FormatError unless these files are formatted and pass lint."""
    for step in (("check", "--output-format=concise"), ("format", "--check")):
        _run([str(ruff), *step, "--quiet", "--no-cache", *files], target)


def _cache() -> Path:
    environ = os.environ
    if chosen := environ.get("FASTAPI_BASE_CACHE"):
        return Path(chosen) / "ruff"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / _CACHE


def _install(requirement: str, program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as work:
        venv = Path(work) / "venv"
        listed = Path(work) / "requirements.txt"
        listed.write_text(requirement, encoding="utf-8")
        _run([sys.executable, "-m", "venv", str(venv)], work)
        pip = (str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--no-deps")
        options = ("--disable-pip-version-check", "--only-binary=:all:", "--require-hashes")
        _run([*pip, *options, "--requirement", str(listed)], work)
        # Complete under its final name, whatever else installs it at the same time.
        shutil.move(venv / "bin/ruff", Path(work) / "ruff")
        (Path(work) / "ruff").replace(program)


def _run(command: list[str], folder: str | Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise FormatError(" ".join([*command[:3], "failed:", *last]))
