"""Reads and edits the requirements files of 3rdparty without touching their other lines."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ops.build.locks.errors import LockingError
from ops.build.locks.locks import normal, numbers

#: A comment with these words, at a requirement or in its section, explains a missing bound.
UNBOUNDED = "No upper bound"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_REQUIREMENT = re.compile(
    rf"(?P<name>{_NAME})\s*(?P<extras>\[[^]]*\])?\s*(?P<versions>[<>=!~][^;#]*?)?\s*"
    r"(?P<marker>;[^#]*?)?\s*(?P<comment>#.*)?"
)


@dataclass(frozen=True)
class Requirement:
    """One line of a manifest. The resolver checks the parts that are only text here."""

    name: str
    extras: str = ""
    versions: str = ""
    marker: str = ""
    comment: str = ""

    @property
    def key(self) -> str:
        """The normalised name."""
        return normal(self.name)

    @property
    def bounded(self) -> bool:
        """Whether its versions have an upper bound."""
        clauses = self.versions.split(",")
        return any(clause.startswith(("<", "~=", "==")) for clause in clauses)

    def __str__(self) -> str:
        text = self.name + self.extras + self.versions
        text += f" {self.marker}" if self.marker else ""
        return f"{text}  {self.comment}" if self.comment else text


def parse(line: str) -> Requirement:
    """The requirement in a line. Raises LockingError."""
    if "://" in line or "@" in line.partition("#")[0]:
        raise LockingError(
            f"{line!r}: give a name with versions, such as stripe or 'stripe>=12,<13'; a lock"
            " names packages, and no URLs"
        )
    match = _REQUIREMENT.fullmatch(line.strip())
    if not match:
        raise LockingError(
            f"{line!r} is not a requirement such as stripe, 'stripe>=12,<13' or 'redis[hiredis]'"
        )
    found = {name: value or "" for name, value in match.groupdict().items()}
    found["versions"] = re.sub(r"\s+", "", found["versions"])
    return Requirement(**found)


def bound(version: str) -> str:
    """Excludes the next release that may be incompatible: a major one, or a minor one of 0.x."""
    first, second, *_ = (*numbers(version), 0, 0)
    return f"<{first + 1}" if first else f"<0.{second + 1}"


def requirements(text: str) -> dict[str, Requirement]:
    """The requirements of a manifest by normalised name."""
    return {one.key: one for _, one in _lines(text)}


def unbounded(text: str) -> list[str]:
    """Names that have neither an upper bound nor a comment that says why."""
    return [
        one.name
        for comments, one in _lines(text)
        if not one.bounded and UNBOUNDED not in one.comment and UNBOUNDED not in comments
    ]


def needs_bound(text: str, section: str | None) -> bool:
    """Whether the requirements of this section have upper bounds."""
    lines = text.splitlines()
    start = _start(lines, section)
    end = next((n for n in range(start, len(lines)) if not lines[n]), len(lines))
    first = max((n + 1 for n in range(start) if not lines[n]), default=0)
    return not any(UNBOUNDED in line for line in lines[first:end] if line.startswith("#"))


def add(text: str, requirement: Requirement, section: str | None) -> str:
    """Insert a requirement in its section, in order."""
    lines = text.splitlines()
    start = end = _start(lines, section)
    while end < len(lines) and lines[end] and not lines[end].startswith("#"):
        end += 1
    place = start
    for number in range(start, end):
        if parse(lines[number]).key < requirement.key:
            place = number + 1
    return "\n".join([*lines[:place], str(requirement), *lines[place:]]) + "\n"


def replace(text: str, requirement: Requirement) -> str:
    """Exchange the line of the requirement with the same name."""
    return "".join(
        f"{requirement}\n" if _is(line, requirement.key) else line
        for line in text.splitlines(keepends=True)
    )


def remove(text: str, name: str) -> str:
    """The manifest without this requirement."""
    kept = [line for line in text.splitlines(keepends=True) if not _is(line, normal(name))]
    return "".join(kept)


def _is(line: str, key: str) -> bool:
    return bool(line.strip()) and not line.startswith("#") and parse(line).key == key


def _start(lines: list[str], section: str | None) -> int:
    """The first line of requirements in a section, or of all."""
    at = 0
    if section:
        heads = [n for n, line in enumerate(lines) if line.startswith(f"# {section}")]
        if not heads:
            raise LockingError(f"no section {section!r}: add the comment '# {section}' to it")
        at = heads[0]
    while at < len(lines) and (not lines[at] or lines[at].startswith("#")):
        if section and not lines[at]:
            break
        at += 1
    return at


def _lines(text: str) -> Iterator[tuple[str, Requirement]]:
    """Each requirement with the comments of its section; blank lines separate sections."""
    for section in text.split("\n\n"):
        lines = [line for line in section.splitlines() if line.strip()]
        comments = "\n".join(line for line in lines if line.startswith("#"))
        yield from ((comments, parse(line)) for line in lines if not line.startswith("#"))
