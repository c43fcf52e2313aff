"""Creates the repository of a new service, and brings it later versions of this base.

Branch `base` of the new repository contains only this tree under the new name; `main` starts from
it. A later run adds a commit to `base`, and `git merge base` on `main` applies the update.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.template.new import contents, names
from ops.template.new.names import NewError
from ops.template.slices import presets, product
from ops.template.slices.manifest import SliceError, load
from ops.template.slices.product import Product
from ops.template.slices.remove import remove
from ops.template.update.git import REMEMBERED, commit_of, git, identity, run

#: Formats a folder in place.
Formatter = Callable[[Path], None]


@dataclass(frozen=True)
class Made:
    """The repository, and whether it existed before and was updated."""

    folder: Path
    updated: bool


@dataclass(frozen=True)
class Wanted:
    """What was asked for; an empty text stands for the default.

    `without` is a comma-separated list of slices, `preset` one of the presets of `presets.py`.
    """

    name: str
    description: str = ""
    without: str = ""
    preset: str = ""


def make(root: Path, into: Path, wanted: Wanted, formatter: Formatter) -> Made:
    """Create the repository, or commit a newer base to its branch `base`. Raises NewError.

    If anything fails, the folder is as before. An update keeps the description, and the slices that
    the repository has removed stay removed.
    """
    name, description = wanted.name, wanted.description
    files = [one for one in git(root, "ls-files", "-z").split("\0") if one]
    files = [one for one in files if (root / one).is_file()]
    names.check(name, names.taken(root, files))
    if not description.isprintable():
        raise NewError("DESCRIPTION: must be one line of printable characters")
    into = Path(os.path.normpath(root / into.expanduser()))
    message = f"Base at {git(root, 'rev-parse', 'HEAD')}"
    gone = _left_out(root, wanted, into)

    def fill(folder: Path, text: str) -> None:
        contents.write(root, files, folder, name)
        contents.describe(folder, name, text)
        _leave_out(folder, name, gone)
        formatter(folder)
        _commit(folder, message)

    if (into / ".git").exists() and commit_of(into, "refs/heads/base"):
        with _checked_out(into) as folder:
            if not (folder / "src" / names.package(name)).is_dir():
                raise NewError(f"NAME={name}: {into} was created under another name")
            text = description or contents.described(folder)
            git(folder, "rm", "-r", "--quiet", ".")
            fill(folder, text)
        git(into, "config", REMEMBERED, _source(root))
        return Made(into, updated=True)
    with _new_folder(root, into):
        git(into, "init", "--quiet", "--initial-branch=base")
        fill(into, description or contents.DESCRIPTION)
        git(into, "config", REMEMBERED, _source(root))
        git(into, "switch", "--quiet", "--create", "main")
    return Made(into, updated=False)


def _left_out(root: Path, wanted: Wanted, into: Path) -> list[str]:
    """The slices that the repository does not have: those asked for, and those it removed."""
    try:
        known = load(root)
        gone = presets.removed(known, wanted.preset, wanted.without)
        if (into / product.FILE).exists():
            gone += (one for one in product.read(into).without if one in known)
    except SliceError as error:
        raise NewError(str(error)) from None
    return sorted({*gone})


def _leave_out(folder: Path, name: str, gone: list[str]) -> None:
    (folder / product.FILE).parent.mkdir(parents=True, exist_ok=True)
    (folder / product.FILE).write_text(product.written(Product(name, ())), encoding="utf-8")
    try:
        if gone:
            remove(folder, gone)
    except SliceError as error:
        raise NewError(str(error)) from None


def _source(root: Path) -> str:
    """Where later versions of the base come from: its origin if it has one, else its folder."""
    done = run(root, "remote", "get-url", "origin")
    return done.stdout.strip() if done.returncode == 0 else str(root)


def _commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all", "--force")
    if git(folder, "status", "--porcelain"):
        git(folder, "commit", "--quiet", "--message", message, environ=identity(folder))


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
