"""Creates the repository of a new service, and brings it later versions of this base.

Branch `base` of the new repository contains only this tree under the new name; `main` starts from
it. A later run adds a commit to `base`, and `git merge base` on `main` applies the update.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.template.new import contents, names
from ops.template.new.names import NewError

#: The author of commits where git knows no identity.
AUTHOR = "make new"
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

#: Formats a folder in place.
Formatter = Callable[[Path], None]


@dataclass(frozen=True)
class Made:
    """The repository, and whether it existed before and was updated."""

    folder: Path
    updated: bool


def make(root: Path, into: Path, name: str, description: str, formatter: Formatter) -> Made:
    """Create the repository, or commit a newer base to its branch `base`. Raises NewError.

    If anything fails, the folder is as before. A description that is empty is the one that the
    repository has, or a general one.
    """
    files = [one for one in git(root, "ls-files", "-z").split("\0") if one]
    files = [one for one in files if (root / one).is_file()]
    names.check(name, names.taken(root, files))
    if not description.isprintable():
        raise NewError("DESCRIPTION: must be one line of printable characters")
    into = Path(os.path.normpath(root / into.expanduser()))
    message = f"Base at {git(root, 'rev-parse', 'HEAD')}"

    def fill(folder: Path, text: str) -> None:
        contents.write(root, files, folder, name)
        contents.describe(folder, name, text)
        formatter(folder)
        _commit(folder, message)

    if (into / ".git").exists() and _has_base(into):
        with _checked_out(into) as folder:
            if not (folder / "src" / names.package(name)).is_dir():
                raise NewError(f"NAME={name}: {into} was created under another name")
            text = description or contents.described(folder)
            git(folder, "rm", "-r", "--quiet", ".")
            fill(folder, text)
        return Made(into, updated=True)
    with _new_folder(root, into):
        git(into, "init", "--quiet", "--initial-branch=base")
        fill(into, description or contents.DESCRIPTION)
        git(into, "switch", "--quiet", "--create", "main")
    return Made(into, updated=False)


def git(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run git in a folder, with additional variables. Raises NewError with its output."""
    done = _run(folder, *arguments, environ=environ)
    if done.returncode:
        raise NewError(f"git {arguments[0]} in {folder} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _run(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
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
        raise NewError("git is required: install it first") from None


def _commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all", "--force")
    if not git(folder, "status", "--porcelain"):
        return
    idents = (_run(folder, "var", f"GIT_{role}_IDENT") for role in ("AUTHOR", "COMMITTER"))
    identity = {} if all(one.returncode == 0 for one in idents) else _NEUTRAL
    git(folder, "commit", "--quiet", "--message", message, environ=identity)


def _has_base(repository: Path) -> bool:
    return _run(repository, "rev-parse", "--verify", "--quiet", "refs/heads/base").returncode == 0


@contextmanager
def _checked_out(repository: Path) -> Iterator[Path]:
    """A worktree of the branch `base`; without a commit, it leaves no trace."""
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work) / "base"
        git(repository, "worktree", "add", "--quiet", str(tree), "base")
        try:
            yield tree
        finally:
            git(repository, "worktree", "remove", "--force", str(tree))


@contextmanager
def _new_folder(root: Path, into: Path) -> Iterator[None]:
    """An empty folder with its parents; what was created is removed if the context fails."""
    if into.resolve().is_relative_to(root.resolve()):
        raise NewError(
            f"INTO={into}: is inside this repository; choose a folder beside it, such as "
            f"INTO=../{into.name}"
        )
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise NewError(
            f"INTO={into}: exists and is not empty; choose another folder, or remove this one"
        )
    highest = into
    while not highest.parent.exists():
        highest = highest.parent
    existed = highest.exists()
    try:
        into.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        _remove(highest, existed)
        raise NewError(f"INTO={into}: cannot be written: {error}") from None
    except BaseException:
        _remove(highest, existed)
        raise


def _remove(folder: Path, existed: bool) -> None:
    """Remove a folder, or only its contents if it existed before."""
    if not existed:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
