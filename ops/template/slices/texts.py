"""What manifests name in texts: sections of pages, settings of `.env.example`, locked packages."""

import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase

_HEADING = re.compile(r"(#+) (.*?)\s*")
_SETTING = re.compile(r"([A-Z][A-Z0-9_]*)=")
_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)")


def headings(page: str) -> list[str]:
    """The headings of a page, without those in blocks of code."""
    return [title for _, _, title in _headings(page.splitlines())]


def without_section(page: str, title: str) -> str:
    """The page without a section: up to the next heading of the same or a higher level."""
    lines = page.splitlines(keepends=True)
    found = [*_headings(lines), (len(lines), 0, "")]
    for place, (start, level, name) in enumerate(found):
        if name == title and level:
            end = next(line for line, other, _ in found[place + 1 :] if other <= level)
            return "".join(lines[:start] + lines[end:])
    return page


def settings(example: str, pattern: str) -> list[str]:
    """The settings of `.env.example` that a name or a pattern such as `OIDC_*` names."""
    found = map(_SETTING.match, example.splitlines())
    return [one[1] for one in found if one and fnmatchcase(one[1], pattern)]


def without_settings(example: str, pattern: str) -> str:
    """The example without these settings and the comments above them."""
    kept: list[str] = []
    comments: list[str] = []
    for line in example.splitlines(keepends=True):
        if line.startswith("#"):
            comments.append(line)
            continue
        setting = _SETTING.match(line)
        if setting is None or not fnmatchcase(setting[1], pattern):
            kept += [*comments, line]
        comments = []
    # A group of settings that is gone leaves two empty lines.
    return re.sub(r"\n{3,}", "\n\n", "".join([*kept, *comments]))


def normal(package: str) -> str:
    """The name of a package in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def packages(listed: str) -> set[str]:
    """The packages of a list of requirements, or of a lock."""
    return {name for name in map(_package, listed.splitlines()) if name}


def without_packages(listed: str, gone: Collection[str]) -> str:
    """The list or lock without the lines of these packages and of their hashes."""
    kept, dropping = [], False
    for line in listed.splitlines(keepends=True):
        if not line.startswith((" ", "\t")):
            dropping = _package(line) in gone
        if not dropping:
            kept.append(line)
    return "".join(kept)


def _package(line: str) -> str:
    found = _REQUIREMENT.match(line)
    return normal(found[1]) if found else ""


def _headings(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    code = False
    for number, line in enumerate(lines):
        code ^= line.startswith("```")
        if not code and (found := _HEADING.fullmatch(line)):
            yield number, len(found[1]), found[2]
