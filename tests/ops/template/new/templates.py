"""Templates for tests: a small one, and a copy of this whole tree; both are git repositories."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ops.dev import places
from ops.template.new import names
from ops.template.update.git import git

# Also what Pants adds to the tree in which it runs a test.
_NOT_COPIED = (".git", ".local", ".pants.d", ".pids", "dist", "__pycache__", ".*_cache", "*.pex*")


def commit(root: Path, message: str) -> None:
    """Commit everything, with an identity."""
    git(root, "add", "--all")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    git(root, *identity, "commit", "--quiet", "--message", message)


def small(root: Path) -> Path:
    """A template with a package, a program, a link and a binary file."""
    package = root / "src" / names.OLD
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f'NAME = "{names.OLD}"\n', encoding="utf-8")
    name = names.distribution(names.OLD)
    (root / "pyproject.toml").write_text(f'name = "{name}"\ndescription = "A template"\n')
    (root / "Makefile").write_text(f"# {name} {names.OLD.upper()}_CACHE\n")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("run")
    (root / "data").write_bytes(b"\xff\xfe" + names.OLD.encode())
    git(root, "init", "--quiet")
    commit(root, "first")
    return root


def whole(root: Path) -> Path:
    """A template with the files of this repository."""
    shutil.copytree(".", root, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    git(root, "init", "--quiet")
    commit(root, "first")
    return root


def make(
    root: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `make` with these arguments, as a person would."""
    known = {"FASTAPI_BASE_CACHE": str(places.cache()), "PYTHON313": sys.executable}
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=root,
        env={**kept, **known, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
