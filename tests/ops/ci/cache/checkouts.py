"""Small checkouts that share a real cache server, each with an empty local cache."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.dev.places import free_port, listens
from ops.dev.waiting import until_serves

_SECONDS = 300
_SERVER = Path("ops.ci.cache/server.pex").absolute()
#: Overrides the repository's settings: removes what such a checkout does not contain.
_SETTINGS = """
[GLOBAL]
backend_packages = ["pants.backend.python", "pants.backend.shell"]
pythonpath = []
dynamic_ui = false
pantsd = false
verify_config = false

[python]
resolves = {"app" = "app.lock"}
resolves_to_only_binary = {"app" = [":all:"]}
resolves_to_interpreter_constraints = {}

[pytest]
install_from_resolve = "app"

[coverage-py]
install_from_resolve = "app"
"""
_BUILD = """
python_sources()
pex_binary(name="hello", entry_point="hello.py", output_path="hello.pex")
experimental_test_shell_command(
    name="test", command="grep -q hello hello.txt", tools=["grep"], execution_dependencies=[":text"]
)
shell_command(
    name="text", command="echo hello > hello.txt", tools=["echo"], output_files=["hello.txt"]
)
"""


@dataclass(frozen=True)
class Run:
    """The output of a Pants run, its duration, and its counters by name."""

    seconds: float
    output: str
    figures: dict[str, int]


@dataclass(frozen=True)
class Checkout:
    """A directory with its own sources and caches."""

    root: Path
    server: str

    def build(self, *options: str, goals: tuple[str, ...] = ("test", "package")) -> Run:
        """Test and package everything. Asserts that both succeed."""
        begin = time.monotonic()
        done = subprocess.run(
            [str(_pants()), "--stats-log", *options, *goals, "::"],
            cwd=self.root,
            env={
                **os.environ,
                "PANTS_CONFIG_FILES": '+["pants.remote.toml", "pants.tests.toml"]',
                "PANTS_LOCAL_STORE_DIR": str(self.root / ".pants.d/store"),
                "PANTS_NAMED_CACHES_DIR": str(self.root / ".pants.d/named"),
                "REMOTE_CACHE": self.server,
                "NO_SCIE_WARNING": "1",
            },
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        figures = {
            name: int(value)
            for name, value in re.findall(r"^\s+(\w+): (\d+)$", done.stderr, re.MULTILINE)
        }
        return Run(time.monotonic() - begin, done.stdout + done.stderr, figures)

    def greeting(self) -> str:
        """The output of the binary in dist/."""
        return subprocess.run(
            [sys.executable, self.root / "dist/hello.pex"],
            env={**os.environ, "PEX_ROOT": str(self.root / ".pants.d/pex")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def products(self) -> dict[str, bytes]:
        """The files in dist/, by name."""
        found = (self.root / "dist").rglob("*")
        return {path.name: path.read_bytes() for path in found if path.is_file()}


def checkout(root: Path, server: str, text: str = "hello") -> Checkout:
    """A new checkout whose program prints ``text``; its cache server is at ``server``."""
    root.mkdir()
    for name in ("pants.toml", "pants.remote.toml"):
        shutil.copy(name, root)
    (root / "pants.tests.toml").write_text(_SETTINGS)
    (root / "app.lock").write_text("")
    (root / "BUILD").write_text(_BUILD)
    (root / "hello.py").write_text(f"print({text!r})\n")
    return Checkout(root, server)


@dataclass(frozen=True)
class Server:
    """A running BuildGrid: its address and its storage directory."""

    address: str
    folder: Path


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """A BuildGrid on loopback, with the configuration of `make cache`."""
    port = free_port()
    log = folder.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, _SERVER, "server", "start", "ops/ci/cache/server.yml", "-v"],
            env={
                **os.environ,
                "CACHE_LISTEN": f"127.0.0.1:{port}",
                "CACHE_FOLDER": str(folder),
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until_serves(process, log, lambda: listens(port), "the cache server", 120)
        yield Server(f"grpc://127.0.0.1:{port}", folder)
    finally:
        process.kill()
        process.wait()


def _pants() -> Path:
    """Pants, next to the Pex executable that its launcher made."""
    return Path(os.environ["FASTAPI_BASE_PEX"]).parent / "bin/pants"
