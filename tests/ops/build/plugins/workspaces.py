"""A separate workspace in which Pants itself loads the plugins of this repository."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 120
#: Overrides the repository's settings: removes what a workspace does not contain.
_SETTINGS = """
[GLOBAL]
backend_packages = [
  "locked_platforms",
  "pants.backend.python",
  "pants.backend.experimental.visibility",
  "ruff_check",
  "layers",
  "oci_images",
  "docs_site",
  "whole_tree",
]
pythonpath = ["%(buildroot)s/ops/build/plugins"]
dynamic_ui = false
verify_config = false

[python]
resolves = {"app" = "app.lock", "docs" = "docs.lock", "tools" = "tools.lock"}
resolves_to_only_binary = {"app" = [":all:"], "docs" = [":all:"], "tools" = [":all:"]}
resolves_to_interpreter_constraints = {}

# No index.
[python-repos]
indexes = []
find_links = ["%(buildroot)s/wheels"]

# What no step under test imports is not there.
[python-infer]
unowned_dependency_behavior = "ignore"

[pytest]
install_from_resolve = "app"

[coverage-py]
install_from_resolve = "app"
"""


@dataclass(frozen=True)
class Workspace:
    """A directory with a pants.toml; ``environ`` is the environment of Pants."""

    root: Path
    environ: dict[str, str]

    def write(self, path: str, text: str) -> None:
        """Write a file in it."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    @contextmanager
    def file(self, path: str, text: str) -> Iterator[None]:
        """A file that exists in it until the context ends."""
        self.write(path, text)
        try:
            yield
        finally:
            (self.root / path).unlink()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``./pants`` with these arguments."""
        return subprocess.run(
            [str(program()), *words],
            cwd=self.root,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )


@contextmanager
def workspace(root: Path, mirror: Path) -> Iterator[Workspace]:
    """A workspace that builds from the plugins and the builder of this repository.

    Debian packages come from the directory ``mirror``, Python packages from the PEX files that the
    test depends on in BUILD. Pants' daemon is stopped at the end.
    """
    for folder in ("ops/build/plugins", "ops/build/oci", "ops/build/debian"):
        shutil.copytree(
            folder, root / folder, ignore=shutil.ignore_patterns("BUILD", "__pycache__")
        )
    for folder in ("ops/build/oci", "ops/build/debian"):
        (root / folder / "BUILD").write_text("python_sources()\n")
    shutil.copy("pants.toml", root)
    (root / "pants.tests.toml").write_text(_SETTINGS)
    (root / "wheels").mkdir()
    _unpacked("pip", root / "wheels")
    for resolve in ("app", "docs", "tools"):
        (root / f"{resolve}.lock").write_text(_unpacked(resolve, root / "wheels"))
    environ = {
        **os.environ,
        "PANTS_CONFIG_FILES": str(root / "pants.tests.toml"),
        "DEBIAN_MIRROR": mirror.as_uri(),
        "NO_SCIE_WARNING": "1",
        # `make coverage` measures the plugins there (ops/build/coverage).
        "PYTHONPATH": os.environ.get("PLUGINS_COVERAGE", ""),
    }
    try:
        yield Workspace(root, environ)
    finally:
        _stop_daemon(root)


def program() -> Path:
    """Pants, next to the Pex executable that its launcher made."""
    return Path(os.environ["FASTAPI_BASE_PEX"]).parent / "bin/pants"


def _unpacked(resolve: str, folder: Path) -> str:
    """Unpack the wheels of a resolve, and return its lock."""
    pex = Path(f"tests.ops.build.plugins/{resolve}.pex")
    if not pex.exists():
        return ""
    subprocess.run(
        [sys.executable, pex, "repository", "extract", "--dest-dir", folder / resolve],
        env={**os.environ, "PEX_TOOLS": "1"},
        check=True,
    )
    wheels = sorted((folder / resolve).iterdir())
    lines = ["==".join(wheel.name.split("-")[:2]) for wheel in wheels]
    for wheel in wheels:
        wheel.rename(folder / wheel.name)
    return "".join(f"{line}\n" for line in lines)


def _stop_daemon(root: Path) -> None:
    for note in root.glob(".pids/*/pantsd/pid"):
        number = int(note.read_text())
        try:
            os.kill(number, signal.SIGTERM)
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                os.kill(number, 0)
                time.sleep(0.05)
        except ProcessLookupError:
            continue
        raise AssertionError(f"Pants' daemon (process {number}) is still running")
