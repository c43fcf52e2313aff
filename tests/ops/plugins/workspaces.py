"""A workspace of its own, in which Pants itself loads the plugins of this repository."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 120
#: Over the repository's own settings: what a workspace has nothing of is left out.
_SETTINGS = """
[GLOBAL]
backend_packages = ["locked_platforms", "pants.backend.python", "oci_images"]
pythonpath = ["%(buildroot)s/ops/plugins"]
dynamic_ui = false
verify_config = false

[python]
resolves = {"app" = "app.lock"}
resolves_to_only_binary = {"app" = [":all:"]}
resolves_to_interpreter_constraints = {}

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
    """A folder with a pants.toml; ``environ`` is what Pants is started with."""

    root: Path
    environ: dict[str, str]

    def write(self, path: str, text: str) -> None:
        """Put a file into it."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    @contextmanager
    def file(self, path: str, text: str) -> Iterator[None]:
        """A file that is in it until the context ends."""
        self.write(path, text)
        try:
            yield
        finally:
            (self.root / path).unlink()

    def package(self, address: str) -> subprocess.CompletedProcess[str]:
        """Run ``./pants package`` on a target."""
        return subprocess.run(
            [str(_program()), "package", address],
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

    Debian packages come from the folder ``mirror``. Pants' daemon is stopped in the end.
    """
    for folder in ("ops/plugins", "ops/oci", "ops/debian"):
        shutil.copytree(
            folder, root / folder, ignore=shutil.ignore_patterns("BUILD", "__pycache__")
        )
    for folder in ("ops/oci", "ops/debian"):
        (root / folder / "BUILD").write_text("python_sources()\n")
    shutil.copy("pants.toml", root)
    (root / "pants.tests.toml").write_text(_SETTINGS)
    (root / "app.lock").write_text("")
    environ = {
        **os.environ,
        "PANTS_CONFIG_FILES": str(root / "pants.tests.toml"),
        "DEBIAN_MIRROR": mirror.as_uri(),
        "NO_SCIE_WARNING": "1",
    }
    try:
        yield Workspace(root, environ)
    finally:
        _stop_daemon(root)


def _program() -> Path:
    """Pants, beside the Pex executable that its launcher made."""
    return Path(os.environ["FASTAPI_BASE_PEX"]).parent / "bin/pants"


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
        raise AssertionError(f"Pants' daemon (process {number}) does not stop")
