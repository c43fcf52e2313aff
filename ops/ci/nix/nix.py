"""Nix from locked Debian packages, with its own store, without a daemon or network."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.dev import packages

STUBS = Path(__file__).parent / "stubs"

_SETTINGS = """\
experimental-features = nix-command flakes
substituters =
flake-registry =
build-users-group =
builders =
sandbox = false
warn-dirty = false
"""


@dataclass(frozen=True)
class Nix:
    """A Nix whose store, settings and state are in ``home``."""

    home: Path
    environment: Mapping[str, str]
    start: tuple[str, ...]

    def run(self, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``nix ARGUMENTS`` to completion in ``folder``, and capture its output."""
        return subprocess.run(
            # The hook for remote builds would start the loader below instead of Nix.
            [*self.start, "--offline", "--option", "build-hook", "", *arguments],
            cwd=folder or self.home,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    def on_stubs(
        self, command: str, flake: Path, *arguments: str, installable: str = "", folder: str = "."
    ) -> subprocess.CompletedProcess[str]:
        """Run ``nix COMMAND`` in a flake's ``folder``, with stubs for its two inputs."""
        return self.run(
            *command.split(),
            "--no-write-lock-file",
            *("--override-input", "nixpkgs", f"path:{STUBS / 'nixpkgs'}"),
            *("--override-input", "nixpkgs-py39", f"path:{STUBS / 'python39'}"),
            f"path:{flake}{installable}",
            *arguments,
            folder=flake / folder,
        )


def prepare(home: Path) -> Nix:
    """Unpack Nix on first use, and give it ``home``. Raises ops.dev.errors.UpError."""
    root = packages.root("nix", "Nix")
    settings = home / "settings"
    settings.mkdir(parents=True)
    (settings / "nix.conf").write_text(_SETTINGS, encoding="utf-8")
    places = {
        "NIX_CONF_DIR": "settings",
        "NIX_STORE_DIR": "store",
        "NIX_STATE_DIR": "state",
        "NIX_LOG_DIR": "log",
        "NIX_DATA_DIR": "data",
        "XDG_CACHE_HOME": "cache",
        "HOME": "home",
    }
    return Nix(
        home,
        {name: str(home / folder) for name, folder in places.items()},
        tuple(packages.command(root, "usr/bin/nix")),
    )
