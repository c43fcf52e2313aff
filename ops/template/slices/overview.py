"""`make slices`: lists the slices with their size, and what depends on what."""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.template.slices import marks
from ops.template.slices.edits import texts
from ops.template.slices.manifest import Manifest, SliceError, files, load

_METHODS = {"get", "post", "put", "patch", "delete"}


@dataclass(frozen=True)
class Size:
    """What the removal of a slice takes out of `src/`, and how many files it takes in all."""

    lines: int
    files: int
    routes: int


def size(root: Path, manifest: Manifest) -> Size:
    """Measure a slice; lines of `src/` are counted with those that are marked elsewhere."""
    mine = set(files(root, manifest))
    lines = routes = 0
    for file in texts(root, "src"):
        text = file.read_text("utf-8")
        if file in mine:
            lines += len(text.splitlines())
            routes += len([*_routes(text)]) if file.suffix == ".py" else 0
        elif "slice: " in text:
            depends = marks.conditions(text, page=False)
            alone = frozenset({manifest.name})
            lines += sum(alone in sets for sets in depends)
    return Size(lines, len(mine), routes)


def table(root: Path, known: Mapping[str, Manifest]) -> str:
    """One row for each slice."""
    head = ("slice", "lines", "files", "routes", "needs", "needed by", "what it is")
    rows: list[tuple[str, ...]] = [head]
    for one in known.values():
        found = size(root, one)
        rows.append(
            (
                one.name,
                *(str(number) for number in (found.lines, found.files, found.routes)),
                _listed(one.needs),
                _listed(other.name for other in known.values() if one.name in other.needs),
                one.description,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            value.rjust(width) if 0 < place < 4 else value.ljust(width)
            for place, (value, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "-"


def _routes(text: str) -> Iterator[str]:
    """The methods of the routes that a module declares."""
    for node in ast.walk(ast.parse(text)):
        for one in getattr(node, "decorator_list", ()):
            called = one.func if isinstance(one, ast.Call) else one
            if isinstance(called, ast.Attribute) and called.attr in _METHODS:
                yield called.attr


def main() -> int:
    """Print the table. Returns 2 with a sentence if a manifest is wrong."""
    root = Path.cwd()
    try:
        known = load(root)
        print(table(root, known) if known else "This tree has no removable slices.")
    except SliceError as error:
        print(f"make slices: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
