"""Runs git for the commands of `ops/template`, independently of the user's settings."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

#: The setting of git in a product that says where its base is.
REMEMBERED = "template.from"
#: The author of commits where git knows no identity.
AUTHOR = "template"
_NEUTRAL = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", AUTHOR), ("EMAIL", "make-new@localhost"))
}
# The user's hooks, signing key and line ends are for the user's own commits.
_SETTINGS = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "commit.gpgSign=false"),
    *("-c", "core.autocrlf=false"),
)


class TemplateError(ValueError):
    """A command of `ops/template` cannot do its work; the message says why, and what helps."""


def git(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run git in a folder, with additional variables. Raises TemplateError with its output."""
    done = run(folder, *arguments, environ=environ)
    if done.returncode:
        raise TemplateError(f"git {arguments[0]} in {folder} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def run(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Like `git`, but returns the process even if it failed."""
    # A hook sets variables that would lead git to the hook's repository instead of the folder.
    chosen = ("GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_CONFIG")
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("GIT_") or key.startswith(chosen)
    }
    command = ["git", *_SETTINGS, *arguments]
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env={**kept, **(environ or {})},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise TemplateError("git is required: install it first") from None


def identity(folder: Path) -> dict[str, str]:
    """Variables for a commit: empty if git knows who commits, otherwise a neutral author."""
    known = (run(folder, "var", f"GIT_{role}_IDENT") for role in ("AUTHOR", "COMMITTER"))
    return {} if all(one.returncode == 0 for one in known) else _NEUTRAL


def commit_of(folder: Path, name: str) -> str | None:
    """The commit that a name stands for; None if there is none."""
    done = run(folder, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return done.stdout.strip() if done.returncode == 0 else None
