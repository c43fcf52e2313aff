"""`make remove-slice SLICE=items`: takes a slice out of the tree.

A slice is the files whose name is its own (`items.py`, `item.py`, `items_export.py`,
`test_items.py`, a migration `NNNN_items.py`) and, elsewhere, the lines that end in `# slice: NAME`.
Migrations that follow its own are joined to the one before. A database that has the tables already
keeps them, until a new migration drops them.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

PLACES = ("src", "tests", "ops")
SUFFIXES = {".py", ""}
_REVISION = re.compile(r"^(revision|down_revision)\b[^=]*= (.*)$", re.MULTILINE)


class SliceError(ValueError):
    """There is no such slice."""


def remove(root: Path, name: str) -> list[Path]:
    """Remove the slice below this folder; the files that are gone. Raises SliceError."""
    files = sorted(_files(root, name))
    if not files or not re.fullmatch(r"[a-z_]+s", name):
        raise SliceError(f"there is no slice {name!r}: no file in {', '.join(PLACES)} has its name")
    for file in files:
        if file.parent.name == "versions":
            _join(file)
        file.unlink()
    for file in _texts(root):
        lines = file.read_text("utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not line.rstrip().endswith(f"# slice: {name}")]
        if kept != lines:
            file.write_text("".join(kept), "utf-8")
    return files


def _texts(root: Path) -> Iterator[Path]:
    for place in PLACES:
        for file in (root / place).rglob("*"):
            if file.is_file() and file.suffix in SUFFIXES and "__pycache__" not in file.parts:
                yield file


def _files(root: Path, name: str) -> Iterator[Path]:
    mine = re.compile(rf"(test_|\d{{4}}_)?({name}|{name.removesuffix('s')})(_[a-z]+)?\.py")
    return (file for file in _texts(root) if mine.fullmatch(file.name))


def _join(migration: Path) -> None:
    """Let the migration behind this one follow the one before it."""
    named = dict(_REVISION.findall(migration.read_text("utf-8")))
    for file in migration.parent.glob("*.py"):
        text = file.read_text("utf-8")
        if dict(_REVISION.findall(text)).get("down_revision") == named["revision"]:
            before = f"down_revision: str | None = {named['revision']}"
            after = f"down_revision: str | None = {named['down_revision']}"
            file.write_text(text.replace(before, after), "utf-8")


def main() -> None:
    """The command."""
    if len(sys.argv) != 2:
        sys.exit("name one slice, as in: make remove-slice SLICE=items")
    try:
        for file in remove(Path.cwd(), sys.argv[1]):
            print(f"removed {file.relative_to(Path.cwd())}")
    except SliceError as error:
        sys.exit(str(error))
    print("Now: ./pants fmt :: && ./pants lint check test ::")
    print("Where docs/ still names what is gone, tests/ops/docs tells the page and the name.")


if __name__ == "__main__":
    main()
