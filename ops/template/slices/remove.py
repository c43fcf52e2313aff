"""`make remove-slice SLICE=items`: removes slices from the tree.

A slice consists of what its manifest names (`manifest.py`) and of marked lines (`marks.py`). Pages
also lose the lines that say how to remove the slice.

Later migrations are linked to the one before a slice's migration. A database that already has the
tables keeps them until a new migration drops them.
"""

import re
import signal
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from ops.template.formatting import ruff
from ops.template.slices import marks, texts
from ops.template.slices.edits import Edits
from ops.template.slices.edits import texts as marked_texts
from ops.template.slices.manifest import Manifest, SliceError, chosen, dependents, files, load
from ops.template.slices.product import FILE, recorded

REQUIREMENTS, LOCK = "3rdparty/python/app.txt", "3rdparty/python/app.lock"
EXAMPLE = ".env.example"
_REVISION = re.compile(r"^(revision|down_revision)\b[^=]*= (.*)$", re.MULTILINE)


def remove(root: Path, names: str | Iterable[str]) -> list[Path]:
    """Remove slices, given by a comma-separated list or by names; returns the removed files.

    Raises SliceError. Nothing is changed if a mark is wrong, if another slice needs one of these,
    or if a file cannot be written.
    """
    known = load(root)
    gone = chosen(names, known)
    if others := dependents(gone, known):
        every = ",".join([*gone, *others])
        verb = "need" if len(others) > 1 else "needs"
        raise SliceError(
            f"{', '.join(others)} {verb} {', '.join(gone)}; to remove all: SLICE={every}"
        )
    edits = Edits(root)
    for name in gone:
        for file in files(root, known[name]):
            if file.parent.name == "versions":
                _join(edits, file)
            edits.remove(file)
    marked = list(marked_texts(root))
    for name in gone:
        for file in marked:
            _unmark(edits, file, name)
        _edit_named(edits, known[name])
    _drop_packages(edits, known, gone)
    if (root / FILE).exists():
        # The base never has what `make resource` wrote.
        based = [name for name in gone if not known[name].generated]
        edits.change(root / FILE, lambda text: recorded(text, based))
    edits.apply()
    return sorted(edits.removed)


def _unmark(edits: Edits, file: Path, name: str) -> None:
    page = file.suffix == ".md"
    command = re.compile(rf".*\bremove-slice SLICE={name}(?![\w,-]).*\n?")

    def change(text: str) -> str:
        kept = marks.without(text, name, page=page)
        return command.sub("", kept) if page else kept

    try:
        edits.change(file, change)
    except SliceError as error:
        raise SliceError(f"{file.relative_to(edits.root)}:{error}") from None


def _edit_named(edits: Edits, manifest: Manifest) -> None:
    for page, titles in manifest.sections.items():
        for title in titles:
            edits.change(edits.root / page, partial(texts.without_section, title=title))
    for name in manifest.settings:
        edits.change(edits.root / EXAMPLE, partial(texts.without_settings, pattern=name))


def _drop_packages(edits: Edits, known: dict[str, Manifest], gone: list[str]) -> None:
    """Remove the packages that no other slice needs from the requirements and the lock."""
    kept = {name for one in known.values() if one.name not in gone for name in one.packages}
    dropped = {
        texts.normal(name) for one in gone for name in known[one].packages if name not in kept
    }
    for place in (REQUIREMENTS, LOCK):
        edits.change(edits.root / place, partial(texts.without_packages, gone=dropped))


def _join(edits: Edits, migration: Path) -> None:
    """Link the migration after this one to the one before it."""
    named = dict(_REVISION.findall(edits.text(migration)))
    for file in migration.parent.glob("*.py"):
        if dict(_REVISION.findall(edits.text(file))).get("down_revision") == named["revision"]:
            edits.change(file, partial(_following, named["down_revision"], named["revision"]))


def _following(new: str, old: str, text: str) -> str:
    line = "down_revision: str | None = "
    return text.replace(f"{line}{old}", f"{line}{new}")


def main(arguments: list[str]) -> int:
    """Takes a list of slices. Returns 2 with a sentence if they cannot be removed."""
    root = Path.cwd()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        removed = remove(root, "".join(arguments))
    except SliceError as error:
        print(f"make remove-slice: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("make remove-slice: interrupted; nothing was changed", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"make remove-slice: {error}; nothing was changed", file=sys.stderr)
        return 1
    for file in removed:
        print(f"removed {file.relative_to(root)}")
    try:
        ruff.format_tree(root, ruff.program(root))
        step = "make clients check test"
    except ruff.FormatError as error:
        print(f"The code is not formatted yet: {error}", file=sys.stderr)
        step = "make fmt clients check test"
    print(f"Next: {step}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
