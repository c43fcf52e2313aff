"""The lock file of Debian packages: one line per package, simple enough for shell scripts to parse.

    ARCHITECTURE PACKAGE VERSION SIZE SHA256 PATH

PATH is relative to a mirror, such as ``pool/main/h/hello/hello_2.10-3_amd64.deb``; a lock names no
mirror.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ARCHITECTURES = ("amd64", "arm64")

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+~:-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class LockError(ValueError):
    """An unusable lock file; the message names the place and what is expected there."""


@dataclass(frozen=True, order=True)
class Package:
    """One binary package for one architecture.

    ``architecture`` is the one that the package is installed for: a package of architecture ``all``
    has a line for each. ``size`` is in bytes, ``sha256`` in lower-case hexadecimal digits.
    """

    architecture: str
    name: str
    version: str
    size: int
    sha256: str
    path: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.architecture})"


def parse(text: str, where: str = "lock") -> list[Package]:
    """Parse the text of a lock. Raises LockError, which names ``where``, the line and the field."""
    packages: dict[tuple[str, str], Package] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        package = _package(line, f"{where}:{number}")
        key = (package.architecture, package.name)
        if key in packages:
            raise LockError(f"{where}:{number}: {package.name} is there twice for {key[0]}")
        packages[key] = package
    if not packages:
        raise LockError(f"{where}: holds no package; `make lock` writes it from its manifest")
    return [packages[key] for key in sorted(packages)]


def read(path: Path) -> list[Package]:
    """Read a lock file. Raises LockError if it is missing or malformed."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LockError(f"{path}: no such lock; `make lock` writes it from its manifest") from None
    return parse(text, str(path))


def render(packages: Iterable[Package], manifest: str) -> str:
    """The text of a lock, sorted by architecture and name, so that a refresh makes a small diff."""
    lines = [
        f"# Made from {manifest} by `make lock`; edit that file, not this one.",
        "# ARCHITECTURE PACKAGE VERSION SIZE SHA256 PATH",
    ]
    lines += [
        f"{p.architecture} {p.name} {p.version} {p.size} {p.sha256} {p.path}"
        for p in sorted(packages)
    ]
    return "\n".join(lines) + "\n"


def _package(line: str, where: str) -> Package:
    fields = line.split(" ")
    if len(fields) != 6:
        raise LockError(
            f"{where}: {len(fields)} fields where six are expected: "
            "ARCHITECTURE PACKAGE VERSION SIZE SHA256 PATH"
        )
    architecture, name, version, size, sha256, path = fields
    if architecture not in ARCHITECTURES:
        raise LockError(
            f"{where}: architecture {architecture!r} is not one of {', '.join(ARCHITECTURES)}"
        )
    for field, pattern, value in (
        ("package name", _NAME, name),
        ("version", _VERSION, version),
        ("SHA-256 (64 lower-case hexadecimal digits)", _SHA256, sha256),
    ):
        if not pattern.fullmatch(value):
            raise LockError(f"{where}: {value!r} of {name!r} is not a {field}")
    if not size.isascii() or not size.isdigit():
        raise LockError(f"{where}: size {size!r} of {name} is not a number of bytes")
    pool = PurePosixPath(path)
    if pool.is_absolute() or ".." in pool.parts or pool.suffix != ".deb" or "://" in path:
        raise LockError(
            f"{where}: path {path!r} of {name} is not one below a mirror, ending in .deb"
        )
    return Package(architecture, name, version, int(size), sha256, path)
