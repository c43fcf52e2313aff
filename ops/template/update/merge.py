"""`make update`: merges the base's changes since the last update into this repository.

A clone of the base commits its version to the branch `base`, under this repository's name and
without the slices that were removed here; git merges that branch like any other work.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.template.slices import product
from ops.template.slices.manifest import SliceError
from ops.template.update.git import REMEMBERED, TemplateError, commit_of, git, identity, run

_BASE = "refs/heads/base"
_MARK = "Base at "
#: More subjects than anybody reads are only counted.
_MOST = 100


def update(root: Path, source: str) -> str:
    """Merge the newest base; returns what to tell the person. Raises TemplateError.

    `source` is a folder or URL; empty means the one of the last time. If the update fails, the
    branch `base` and the files are as before. A merge with conflicts is left to be resolved.
    """
    name = _ready(root)
    source = source or run(root, "config", "--get", REMEMBERED).stdout.strip()
    if not source:
        raise TemplateError("where is the base? Name its folder or URL: make update FROM=../base")
    with _restored(root), tempfile.TemporaryDirectory() as work:
        clone = Path(work) / "base"
        cloned = run(root, "clone", "--quiet", source, str(clone))
        if cloned.returncode:
            said = cloned.stderr.strip().splitlines()[-1:]
            raise TemplateError(
                f"the base is not found at {source}; name its folder or URL: make update FROM=...\n"
                + "".join(said)
            )
        before = git(root, "merge-base", "HEAD", _BASE)
        _renew(clone, root, name)
        git(root, "config", REMEMBERED, _absolute(root, source))
        if run(root, "merge-base", "--is-ancestor", _BASE, "HEAD").returncode == 0:
            newest = git(clone, "rev-parse", "--short=10", "HEAD")
            return f"This repository has the newest base already: {newest} at {source}."
        return _merge(root, _message(root, clone, before))


def _ready(root: Path) -> str:
    """The name of the product. Raises TemplateError if it cannot be updated now."""
    try:
        name = product.read(root).name
    except SliceError as error:
        raise TemplateError(
            f"{error}. `make update` is for a repository that was created from the base"
        ) from None
    if run(root, "rev-parse", "--git-dir").returncode:
        raise TemplateError(f"{root} is not a git repository")
    if commit_of(root, "MERGE_HEAD"):
        raise TemplateError("a merge is not finished: commit it, or run `git merge --abort`")
    if changed := git(root, "status", "--porcelain", "--untracked-files=no"):
        file = changed.splitlines()[0].split(maxsplit=1)[1]
        raise TemplateError(f"there are changes that are not committed, such as in {file}")
    if git(root, "branch", "--show-current") == "base":
        raise TemplateError("the branch `base` is for the base only: switch to your own branch")
    if not commit_of(root, _BASE):
        if not commit_of(root, "refs/remotes/origin/base"):
            raise TemplateError("the branch `base` is missing: git fetch origin base:base")
        git(root, "branch", "--quiet", "base", "refs/remotes/origin/base")
    return name


@contextmanager
def _restored(root: Path) -> Iterator[None]:
    """If the context fails, the branch `base` and the merge are taken back."""
    before = git(root, "rev-parse", _BASE)
    try:
        yield
    except BaseException:
        if commit_of(root, "MERGE_HEAD"):
            run(root, "merge", "--abort")
        run(root, "worktree", "prune")
        run(root, "update-ref", _BASE, before)
        raise


def _renew(clone: Path, root: Path, name: str) -> None:
    """Let the base commit its version to the branch `base`, by the command that creates one."""
    command = ["make", "--no-print-directory", "new", f"NAME={name}", f"INTO={root}"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
        raise TemplateError("\n".join(["the base could not be renewed:", *said[-5:]]))


def _message(root: Path, clone: Path, before: str) -> str:
    new = git(clone, "rev-parse", "HEAD")
    head = f"Merge the base at {new[:10]}"
    old = _version(root, before)
    if old is None or not commit_of(clone, old):
        return head
    subjects = git(clone, "log", "--no-merges", "--format=- %s", f"{old}..{new}").splitlines()
    more = len(subjects) - _MOST
    listed = [*subjects[:_MOST], *([f"- and {more} more"] if more > 0 else [])]
    return "\n".join([head, "", f"Its changes since {old[:10]}:", "", *listed])


def _version(root: Path, commit: str) -> str | None:
    """The commit of the base that a commit of the branch `base` contains."""
    subject = git(root, "log", "-1", "--format=%s", commit)
    return subject.removeprefix(_MARK) if subject.startswith(_MARK) else None


def _merge(root: Path, message: str) -> str:
    arguments = ("merge", "--quiet", "--no-ff", "--message", message, "base")
    done = run(root, *arguments, environ=identity(root))
    if done.returncode == 0:
        return f"{message}\n\nNext: make fmt check test"
    files = git(root, "diff", "--name-only", "--diff-filter=U")
    if not files:
        raise TemplateError(f"the merge failed: {(done.stderr or done.stdout).strip()}")
    return (
        f"{message}\n\nThese files were changed on both sides:\n{files}\n\nNext: resolve the"
        " conflicts and `git commit`, or undo the merge: git merge --abort"
    )


def _absolute(root: Path, source: str) -> str:
    folder = (root / Path(source).expanduser()).resolve()
    return str(folder) if folder.is_dir() else source


def main(arguments: list[str]) -> int:
    """Takes the base's folder or URL. Returns 1 for conflicts, 2 with a sentence if it fails."""
    root = Path.cwd()
    try:
        print(update(root, "".join(arguments)))
    except TemplateError as error:
        print(f"make update: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("make update: interrupted; nothing was changed", file=sys.stderr)
        return 130
    return 1 if commit_of(root, "MERGE_HEAD") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
