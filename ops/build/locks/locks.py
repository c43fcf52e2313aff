"""The Python locks of this repository, with the manifests that they are compiled from."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ops.build.locks.errors import LockingError

_APP = "3rdparty/python/app"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class Lock:
    """A lock; paths are relative to the repository. It keeps to the pins of ``constraints``.

    ``wheels`` lists the files of its wheels, so that a bill of materials can name the one that was
    installed.
    """

    manifest: str
    path: str
    python: str = "3.13"
    constraints: str | None = None
    wheels: str | None = None


#: In the order in which they are compiled: a lock follows the one whose pins constrain it.
LOCKS = (
    Lock(f"{_APP}.txt", f"{_APP}.lock", wheels=f"{_APP}.wheels"),
    Lock("3rdparty/python/test.txt", "3rdparty/python/test.lock", constraints=f"{_APP}.lock"),
    Lock("3rdparty/python/tools.txt", "3rdparty/python/tools.lock"),
    Lock("3rdparty/python/docs.txt", "3rdparty/python/docs.lock"),
    Lock("3rdparty/python/cache.txt", "3rdparty/python/cache.lock"),
    Lock("3rdparty/python/mutants.txt", "3rdparty/python/mutants.lock", constraints=f"{_APP}.lock"),
    Lock("3rdparty/python/node.txt", "3rdparty/python/node.lock"),
    Lock("3rdparty/pants/requirements.txt", "3rdparty/pants/pants.lock", "3.9"),
    Lock("3rdparty/pants/coverage.txt", "3rdparty/pants/coverage.lock", "3.9"),
)

#: Values of TO: the manifest, and the section of it whose comment starts with these words.
PLACES: Mapping[str, tuple[str, str | None]] = {
    "app": (f"{_APP}.txt", "The service"),
    "dev": (f"{_APP}.txt", "Development"),
    "test": (f"{_APP}.txt", "Tests"),
    "runner": ("3rdparty/python/test.txt", None),
    "tools": ("3rdparty/python/tools.txt", None),
    "docs": ("3rdparty/python/docs.txt", None),
    "cache": ("3rdparty/python/cache.txt", None),
    "mutants": ("3rdparty/python/mutants.txt", None),
    "node": ("3rdparty/python/node.txt", None),
    "pants": ("3rdparty/pants/requirements.txt", None),
    "coverage": ("3rdparty/pants/coverage.txt", None),
}


def of_manifest(path: str) -> Lock:
    """The lock that is compiled from this manifest."""
    return next(lock for lock in LOCKS if lock.manifest == path)


def pins(text: str) -> dict[str, str]:
    """Versions of a lock by normalised name."""
    return {normal(name): version for name, version in _PIN.findall(text)}


def normal(name: str) -> str:
    """A package's name in the form in which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def numbers(version: str) -> tuple[int, ...]:
    """The release segment of a version, for comparisons."""
    found = re.match(r"(?:\d+!)?(\d+(?:\.\d+)*)", version)
    return tuple(map(int, found[1].split("."))) if found else ()


def place(name: str) -> tuple[str, str | None]:
    """Manifest and section of a value of TO. Raises LockingError."""
    if name not in PLACES:
        raise LockingError(f"TO={name}: must be one of {', '.join(PLACES)}{like(name, PLACES)}")
    return PLACES[name]


def like(name: str, known: Iterable[str]) -> str:
    """A question that names the most similar known name; empty if none is similar."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f". Did you mean {near[0]}?" if near else ""
