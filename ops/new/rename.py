"""`make new NAME=shop INTO=../shop`: a repository whose package has another name.

Branch `base` of the new repository holds this one under the new name and nothing else; `main`
begins there. Run again later, on a newer base, it adds a commit to `base`, and `git merge base` on
`main` brings the update in.
"""

import argparse
import contextlib
import keyword
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

# No longer than the old one, so that no line grows beyond its limit.
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = len("fastapi" + "_base")
_TAKEN = {"tests", "ops", "src", "docs", "app", "fastapi", "test"}


class NewError(ValueError):
    """A name or folder that cannot be used; the message says what would be right."""


def check(name: str) -> None:
    """Raise NewError unless ``name`` can be that of the package."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise NewError(
            f"NAME={name}: must be lower-case letters, digits and single underscores, begin with "
            f"a letter, and have at most {_LONGEST} characters, as in NAME=shop"
        )
    if name in _TAKEN or keyword.iskeyword(name) or name in sys.stdlib_module_names:
        raise NewError(f"NAME={name}: is taken by Python or by a folder here; choose another")


def rename(text: str, name: str) -> str:
    """The text with the new name in each of the forms that the old one has."""
    old = "fastapi" + "_base"
    for form in (str, str.upper):
        new = form(name)
        text = text.replace(form(old), new)
        text = text.replace(form(old).replace("_", "-"), new.replace("_", "-"))
    return text


def write(root: Path, names: Iterable[str], target: Path, name: str) -> None:
    """Copy the files ``names`` below ``root`` to ``target`` under the new name; modes are kept."""
    for one in names:
        source, copy = root / one, target / rename(one, name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        content = source.read_bytes()
        with contextlib.suppress(UnicodeDecodeError):
            content = rename(content.decode(), name).encode()
        copy.write_bytes(content)
        copy.chmod(source.stat().st_mode & 0o777)


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder. Raises NewError with what it said."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NewError(f"git {arguments[0]} in {folder} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def make(root: Path, into: Path, name: str) -> str:
    """Make the repository, or put a newer base on its branch `base`. Returns what to do next."""
    check(name)
    into = into.absolute()
    if into.is_relative_to(root):
        raise NewError(f"INTO={into}: lies within this repository; choose a folder beside it")
    listed = git(root, "ls-files", "-z")
    names = [one for one in listed.split("\0") if one and (root / one).is_file()]
    message = f"Base at {git(root, 'rev-parse', 'HEAD')}"
    update = (into / ".git").exists()
    if not update:
        if into.exists() and any(into.iterdir()):
            raise NewError(f"INTO={into}: holds files and is no repository that was made by this")
        into.mkdir(parents=True, exist_ok=True)
        git(into, "init", "--quiet", "--initial-branch=base")
        write(root, names, into, name)
        _commit(into, message)
        git(into, "switch", "--quiet", "--create", "main")
        return f"cd {into} && make fmt check test"
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work) / "base"
        git(into, "worktree", "add", "--quiet", str(tree), "base")
        try:
            if not (tree / "src" / name).is_dir():
                raise NewError(f"NAME={name}: {into} has no package of that name on branch `base`")
            git(tree, "rm", "-r", "--quiet", ".")
            write(root, names, tree, name)
            _commit(tree, message)
        finally:
            git(into, "worktree", "remove", "--force", str(tree))
    return f"cd {into} && git merge base && make fmt check test"


def _commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all", "--force")
    if git(folder, "status", "--porcelain"):
        git(folder, "commit", "--quiet", "--message", message)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 2 with a sentence when the name or the folder cannot be used."""
    parser = argparse.ArgumentParser(prog="make new", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("into", nargs="?", type=Path)
    chosen = parser.parse_args(arguments)
    root = Path(__file__).resolve().parents[2]
    try:
        step = make(root, chosen.into or root.parent / chosen.name.replace("_", "-"), chosen.name)
    except NewError as error:
        print(f"new: {error}", file=sys.stderr)
        return 2
    print(f"Made. Now: {step}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
