"""Calls uv: compiles locks, and looks into packages. Every wheel is a prebuilt one."""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from ops.build.debian.mirrors import public
from ops.build.locks import wheels
from ops.build.locks.errors import LockingError
from ops.build.locks.locks import Lock

#: What the binaries are built for (3rdparty/platforms), in uv's terms.
PLATFORMS = {"x86-64": "x86_64-manylinux_2_40", "arm64": "aarch64-manylinux_2_40"}
_ADDRESS = re.compile(r"(?:https?|file)://\S*")


class Resolver:
    """uv in ``folder``, which holds the manifests and locks by their paths in the repository."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        found = subprocess.run(
            [root / "ops/build/bootstrap/uv.sh"], stdout=subprocess.PIPE, text=True, check=False
        )
        if found.returncode:
            raise LockingError("uv, which resolves packages, cannot be installed (above)")
        self.uv = found.stdout.strip()
        self.environ = _environ()

    def compile(self, lock: Lock, *upgrade: str, keep: bool = True) -> None:
        """Write a lock. Raises LockingError with uv's explanation.

        With ``keep``, pins that still satisfy all requirements stay, except those to ``upgrade``
        (names, or names with a version).
        """
        if not keep:
            (self.folder / lock.path).unlink(missing_ok=True)
        options = ["--python-version", lock.python, "--output-file", lock.path]
        options += ["--constraints", lock.constraints] if lock.constraints else []
        for name in upgrade:
            options += ["--upgrade-package", name]
        self._run("pip", "compile", *_COMPILE, *options, lock.manifest)
        text = (self.folder / lock.path).read_text(encoding="utf-8")
        if address := _ADDRESS.search(text):
            raise LockingError(
                f"{lock.path} would hold a URL ({public(address[0])}); a lock names packages,"
                " versions and hashes only"
            )
        if lock.python == "3.13":
            self._check_platforms(lock)
        if lock.wheels:
            listed = wheels.listed(self._exported(lock), text)
            (self.folder / lock.wheels).write_text("".join(f"{one}\n" for one in listed))

    def newest(self, name: str, python: str = "3.13") -> str:
        """The newest version of a package, regardless of all requirements."""
        with tempfile.TemporaryDirectory(prefix="lock-") as place:
            file = Path(place) / "name.txt"
            file.write_text(f"{name}\n", encoding="utf-8")
            out = self._run(
                *("pip", "compile", *_QUIET, "--no-deps", "--universal", "--no-header"),
                *("--only-binary", ":all:", "--python-version", python, str(file)),
            )
        found = re.search(r"==([^\s;\\]+)", out)
        if not found:
            raise LockingError(f"{name}: the index has no version of it")
        return found[1]

    def unpack(self, name: str, version: str, lock: Lock, folder: Path) -> None:
        """Unpack the wheel of a locked package into ``folder``, with its hash verified."""
        text = (self.folder / lock.path).read_text(encoding="utf-8")
        start = re.search(rf"^{re.escape(name)}=={re.escape(version)}\b", text, re.M)
        assert start, f"{name} {version} is in {lock.path}"
        entry = re.match(r".*\n(?:    .*\n)*", text[start.start() :])
        assert entry
        with tempfile.TemporaryDirectory(prefix="lock-") as place:
            file = Path(place) / "one.txt"
            # Its marker may exclude this machine.
            file.write_text(re.sub(r" ;[^\\\n]*", " ", entry[0], count=1), encoding="utf-8")
            self._run(
                *("pip", "install", *_QUIET, "--no-deps", "--only-binary", ":all:"),
                *("--require-hashes", "--target", str(folder), "--requirement", str(file)),
            )

    def _exported(self, lock: Lock) -> dict[str, Any]:
        """The lock with the files of its packages (PEP 751)."""
        with tempfile.TemporaryDirectory(prefix="lock-") as place:
            file = Path(place) / "pylock.toml"
            self._run(
                *("pip", "compile", *_QUIET, "--universal", "--no-deps", "--format", "pylock.toml"),
                *("--python-version", lock.python, lock.path, "--output-file", str(file)),
            )
            return tomllib.loads(file.read_text(encoding="utf-8"))

    def _check_platforms(self, lock: Lock) -> None:
        for name, platform in PLATFORMS.items():
            target = tempfile.mkdtemp(dir=self.folder)
            try:
                self._run(
                    *("pip", "install", *_QUIET, "--dry-run", "--no-deps", "--require-hashes"),
                    *("--only-binary", ":all:", "--python-platform", platform, "--python-version"),
                    *(lock.python, "--target", target, "-r", lock.path),
                )
            except LockingError as error:
                raise LockingError(
                    f"{error}\nThe binaries run on Linux x86-64 and arm64 and are built from"
                    f" wheels, and there is none for {name}; choose another version, or another"
                    " package"
                ) from None

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.uv, *arguments, "--python", sys.executable],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = public(done.stderr.strip() or done.stdout.strip())
            raise LockingError(said.removeprefix("error: ") or f"uv ended with {done.returncode}")
        return done.stdout


_QUIET = ("--quiet", "--no-config", "--no-python-downloads")
_COMPILE = (
    *(*_QUIET, "--universal", "--generate-hashes", "--only-binary", ":all:"),
    *("--no-header", "--no-annotate", "--no-emit-index-url"),
)


def _environ() -> dict[str, str]:
    """The environment, with pip's index for uv, as in `make venv`."""
    environ = {**os.environ, "NO_COLOR": "1"}
    home = environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME') or tempfile.gettempdir()}/.cache"
    cache = environ.get("FASTAPI_BASE_CACHE") or f"{home}/fastapi-base"
    environ.setdefault("UV_CACHE_DIR", f"{cache}/uv")
    index = (
        environ.get("PIP_INDEX_URL")
        or subprocess.run(
            [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
    )
    if index:
        environ.setdefault("UV_DEFAULT_INDEX", index)
    # As pip: the authorities of the system.
    environ.setdefault("UV_SYSTEM_CERTS", "true")
    return environ
