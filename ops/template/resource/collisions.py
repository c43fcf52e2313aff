"""Whether a tree already has something with a name of the resource."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ops.template.resource.kinds import ResourceError
from ops.template.resource.specification import Resource


def check(root: Path, package: str, resource: Resource, files: Iterable[str]) -> None:
    """Raise ResourceError if one of the new files, classes, routes or tables exists."""
    for what, where in _taken(root / f"src/{package}", resource):
        raise _refusal(resource, f"{what} exists already, in {where.relative_to(root)}")
    for file in files:
        if (root / file).exists():
            raise _refusal(resource, f"{file} exists already")


def _taken(source: Path, resource: Resource) -> Iterator[tuple[str, Path]]:
    names = resource.names
    one, many = names.singular, names.plural
    verbs = [f"{verb}_{one}" for verb in ("create", "read", "update", "delete")]
    functions = [*verbs, f"create_{many}", f"list_{many}"]
    suffixes = "Create|Created|Read|Update|Filter|Page|Sort"
    taken = re.compile(
        rf"^class ((?:{names.model}|{names.models})(?:{suffixes})?)\b"
        rf"|^async def ({'|'.join(functions)})\("
        rf'|prefix="(/{names.path})"'
        rf'|^    __tablename__ = "({many})"$'
        rf"|^ *from \S+ import (?:.*\b)?({many})(?:,|$)",
        re.M,
    )
    for file in sorted(source.rglob("*.py")):
        for match in taken.finditer(file.read_text("utf-8")):
            yield next(found for found in match.groups() if found), file


def _refusal(resource: Resource, why: str) -> ResourceError:
    name = resource.names.singular
    return ResourceError(f"NAME={name}: {why}; choose another name, such as shop_{name}")
