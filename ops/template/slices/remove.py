"""`make remove-slice SLICE=items`: removes a slice from the tree.

A slice consists of the packages with its name (`services/items/`), the files named after it
(`items.py`, `item.py`, `items_export.py`, `test_items.py`, a migration `NNNN_items.py`) and,
elsewhere, what is marked: lines that end in `# slice: items`, lines of a page with the comment
`<!-- slice: items -->`, and the lines between two such comments that begin with `begin slice` and
`end slice`. Pages also lose the lines that say how to remove the slice.

Later migrations are linked to the one before the slice's migration. A database that already has the
tables keeps them until a new migration drops them.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from ops.template.formatting import ruff

#: Folders and files that may name a slice. The change log and the decisions stay as they are.
PLACES = (
    "src",
    "tests",
    "ops",
    "clients",
    "docs",
    "README.md",
    "CONTRIBUTING.md",
    ".env.example",
    "Makefile",
)
SUFFIXES = {".py", ".md", ".toml", ".yml", ".yaml", ".sh", ".ts", ""}
_KEPT = Path("docs/decisions")
_MARK = re.compile(r"# slice: ([a-z_]+)$", re.MULTILINE)
_REVISION = re.compile(r"^(revision|down_revision)\b[^=]*= (.*)$", re.MULTILINE)


class SliceError(ValueError):
    """The slice does not exist, or its marks are wrong."""


def slices(root: Path) -> list[str]:
    """The slices of this tree: the names that marks in its sources have."""
    found = (_MARK.findall(file.read_text("utf-8")) for file in _texts(root, "src"))
    return sorted({name for names in found for name in names})


def remove(root: Path, name: str) -> list[Path]:
    """Remove the slice below this directory; returns the removed files. Raises SliceError.

    Nothing is changed if a mark is wrong.
    """
    known = slices(root)
    if name not in known:
        there = f"there are: {', '.join(known)}" if known else "this tree has none any more"
        raise SliceError(f"the slice {name!r} does not exist; {there}")
    files = sorted(_files(root, name))
    edited = {
        file: kept
        for file in _texts(root, *PLACES)
        if file not in files and (kept := _without(file, name)) is not None
    }
    for file, text in edited.items():
        file.write_text(text, "utf-8")
    for file in files:
        if file.parent.name == "versions":
            _join(file)
        file.unlink()
    for package in {file.parent for file in files if file.parent.name == name}:
        shutil.rmtree(package)
    return files


def _texts(root: Path, *places: str) -> Iterator[Path]:
    for place in places:
        for file in (root / place).rglob("*") if (root / place).is_dir() else [root / place]:
            ours = file.suffix in SUFFIXES and not _is_foreign(file.relative_to(root))
            if ours and file.is_file():
                yield file


def _is_foreign(file: Path) -> bool:
    """Whether it is kept, or belongs to a tool, such as a cache."""
    folders = file.parent.parts
    caches = "__pycache__" in folders or any(folder.startswith(".") for folder in folders)
    return caches or file.is_relative_to(_KEPT)


def _files(root: Path, name: str) -> Iterator[Path]:
    mine = re.compile(rf"(test_|\d{{4}}_)?({name}|{name.removesuffix('s')})(_[a-z]+)?\.(py|ts)")
    for file in _texts(root, "src", "tests", "ops"):
        if file.parent.name == name or mine.fullmatch(file.name):
            yield file


def _without(file: Path, name: str) -> str | None:
    """The text of the file without what is marked; None if nothing is."""
    edges = re.compile(rf"\s*(?:#|<!--) (begin|end) slice: {name}(?: -->)?\n?")
    marks = [rf"# slice: {name}\s*$"]
    if file.suffix == ".md":
        marks += [rf"<!-- slice: {name} -->", rf"\bremove-slice SLICE={name}\b"]
    marked = re.compile("|".join(marks))
    lines = file.read_text("utf-8").splitlines(keepends=True)
    kept, inside = [], False
    for number, line in enumerate(lines, 1):
        if edge := edges.fullmatch(line):
            if inside == (edge[1] == "begin"):
                raise SliceError(f"{file}:{number}: unexpected {edge[1]} of the slice {name}")
            inside = not inside
        elif not inside and not marked.search(line):
            kept.append(line)
    if inside:
        raise SliceError(f"{file}: the slice {name} does not end")
    return None if kept == lines else "".join(kept)


def _join(migration: Path) -> None:
    """Link the migration after this one to the one before it."""
    named = dict(_REVISION.findall(migration.read_text("utf-8")))
    for file in migration.parent.glob("*.py"):
        text = file.read_text("utf-8")
        if dict(_REVISION.findall(text)).get("down_revision") == named["revision"]:
            before = f"down_revision: str | None = {named['revision']}"
            after = f"down_revision: str | None = {named['down_revision']}"
            file.write_text(text.replace(before, after), "utf-8")


def main(arguments: list[str]) -> int:
    """Takes the name of a slice. Returns 2 with a sentence if there is no such slice."""
    root = Path.cwd()
    name = "".join(arguments)
    try:
        removed = remove(root, name)
    except SliceError as error:
        print(f"make remove-slice: {error}", file=sys.stderr)
        return 2
    for file in removed:
        print(f"removed {file.relative_to(root)}")
    try:
        ruff.format_tree(root, ruff.program(root))
        step = "make check test"
    except ruff.FormatError as error:
        print(f"The code is not formatted yet: {error}", file=sys.stderr)
        step = "make fmt check test"
    print(f"Next: {step}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
