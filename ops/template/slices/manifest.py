"""The manifests of slices: `manifests/NAME.toml` says which parts of the tree belong to a slice.

The rest of a slice is marked where it stands: see `marks.py`.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: The directory of the manifests, and of the migrations that they name.
FOLDER = Path("ops/template/slices/manifests")
VERSIONS = "src/*/migrations/versions"
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_LISTS = ("files", "settings", "migrations", "packages", "needs", "words")
_KEYS = {*_LISTS, "title", "description", "standard", "generated", "sections"}


class SliceError(ValueError):
    """A slice that does not exist, a wrong manifest or mark; the message says what is right."""


@dataclass(frozen=True)
class Manifest:
    """One slice.

    `files` are globs; `settings` are names in `.env.example` and may end in `*`; `migrations` are
    names of files without suffix; `packages` are all locked packages that only slices need, direct
    or not; `sections` are headings by page; `needs` are other slices; `words` are regular
    expressions that only lines of the slice match, in the code and its tests; `standard` says
    whether the preset of that name includes it, and `generated` whether `make resource` wrote it.
    """

    name: str
    title: str
    description: str
    files: tuple[str, ...]
    settings: tuple[str, ...] = ()
    migrations: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    sections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    standard: bool = True
    generated: bool = False


def load(root: Path) -> dict[str, Manifest]:
    """The slices of a tree by name. Raises SliceError that names the file and the key."""
    return {
        file.stem: _read(file, file.relative_to(root))
        for file in sorted((root / FOLDER).glob("*.toml"))
    }


def chosen(names: str | Iterable[str], known: Mapping[str, Manifest]) -> list[str]:
    """The slices of a comma-separated list. Raises SliceError for an unknown one, or for none."""
    listed = names.split(",") if isinstance(names, str) else list(names)
    found = [name.strip() for name in listed]
    there = f"there are: {', '.join(known)}" if known else "this tree has none any more"
    for name in found:
        if name not in known:
            raise SliceError(f"the slice {name!r} does not exist; {there}")
    return sorted(set(found), key=found.index)


def dependents(names: Iterable[str], known: Mapping[str, Manifest]) -> list[str]:
    """The other slices that need one of these, directly or not."""
    found = set(names)
    while more := {one.name for one in known.values() if found & {*one.needs}} - found:
        found |= more
    return sorted(found - {*names})


def files(root: Path, manifest: Manifest) -> list[Path]:
    """The files of a slice, with its migrations and its manifest."""
    found = {root / FOLDER / f"{manifest.name}.toml"}
    for pattern in manifest.files:
        found.update(matches(root, pattern))
    for name in manifest.migrations:
        found.update(matches(root, f"{VERSIONS}/{name}.py"))
    return sorted(found)


def matches(root: Path, pattern: str) -> Iterator[Path]:
    """The files that a glob names; files of tools, such as caches, are left out."""
    for path in root.glob(pattern):
        if path.is_file() and not is_foreign(path.relative_to(root)):
            yield path


def is_foreign(file: Path) -> bool:
    """Whether a relative path belongs to a tool, such as a cache."""
    folders = file.parent.parts
    return "__pycache__" in folders or any(folder.startswith(".") for folder in folders)


def _read(file: Path, shown: Path) -> Manifest:
    if not _NAME.fullmatch(file.stem):
        raise SliceError(f"{shown}: must be named with lower-case words, such as api-keys.toml")
    try:
        given = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SliceError(f"{shown}: is not TOML: {error}") from None
    for key in given.keys() - _KEYS:
        raise SliceError(f"{shown}: unknown key {key!r}; known are: {', '.join(sorted(_KEYS))}")
    try:
        return Manifest(
            name=file.stem,
            title=_text(given, "title"),
            description=_text(given, "description"),
            standard=_flag(given, "standard"),
            generated=_flag({"generated": False, **given}, "generated"),
            files=_texts(given, "files"),
            settings=_texts(given, "settings"),
            migrations=_texts(given, "migrations"),
            packages=_texts(given, "packages"),
            needs=_texts(given, "needs"),
            words=_texts(given, "words"),
            sections=_sections(given.get("sections", {})),
        )
    except SliceError as error:
        raise SliceError(f"{shown}: {error}") from None


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given.get(key)
    if not isinstance(value, str) or not value:
        raise SliceError(f"{key}: must be a text in quotes")
    return value


def _flag(given: Mapping[str, Any], key: str) -> bool:
    value = given.get(key)
    if not isinstance(value, bool):
        raise SliceError(f"{key}: must be true or false")
    return value


def _texts(given: Mapping[str, Any], key: str, place: str = "") -> tuple[str, ...]:
    value = given.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise SliceError(f'{place}{key}: must be a list of texts, such as ["a", "b"]')
    return tuple(value)


def _sections(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise SliceError('sections: must be a table of pages, such as "docs/jobs.md" = ["Imports"]')
    return {page: _texts(value, page, "sections: ") for page in value}
