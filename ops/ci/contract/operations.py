"""Where things are in a description: operations, the schemas that they use, and JSON pointers."""

import datetime
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from ops.ci.contract.description import Json

_SCHEMAS = "#/components/schemas/"


def each(document: Json) -> Iterator[tuple[str, Json]]:
    """The operations by their name, such as `GET /items`."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def users(document: Json) -> dict[str, list[str]]:
    """For each schema, the operations that use it, directly or through other schemas."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, operation in each(document):
        for schema in _reached(operation, document):
            found[schema].append(name)
    return found


def sent(document: Json) -> set[str]:
    """The schemas that requests use."""
    found: set[str] = set()
    for _, operation in each(document):
        request = {key: operation.get(key) for key in ("parameters", "requestBody")}
        found |= _reached(request, document)
    return found


def problems(document: Json, key: str) -> dict[str, list[str]]:
    """The types of problem documents, each with the operations that answer it."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, operation in each(document):
        for code in dict.fromkeys(
            code for reply in operation["responses"].values() for code in reply.get(key, ())
        ):
            found[code].append(name)
    return found


def place(pointer: str, document: Json) -> str:
    """A JSON pointer for people: `JobRead.status`, `GET /items query limit`, `GET /items 200`."""
    parts = _parts(pointer)
    if parts[:2] == ["components", "schemas"]:
        return ".".join([parts[2], *_members(parts[3:])])
    if parts[0] != "paths":
        return " ".join(parts[1:])
    start = f"{parts[2].upper()} {parts[1]}" if len(parts) > 2 else parts[1]
    rest = parts[3:]
    if rest[:1] == ["parameters"] and len(rest) > 1:
        parameter = document["paths"][parts[1]][parts[2]]["parameters"][int(rest[1])]
        rest = [parameter["in"], parameter["name"], *rest[2:]]
    elif rest[:1] == ["responses"]:
        # The status last, unless the place is a part of the response.
        rest = rest[1:]
    return " ".join([start, *_members(rest)])


def affected(pointer: str, path: str, document: Json, used: dict[str, list[str]]) -> list[str]:
    """The operations that a change at this pointer affects; ``path`` is where it was met first."""
    parts = _parts(pointer)
    if parts[:2] == ["components", "schemas"]:
        return used.get(parts[2], [])
    parts = _parts(path) if parts[0] != "paths" else parts
    if parts[0] != "paths":
        return []
    methods = parts[2:3] or sorted(document["paths"].get(parts[1], {}))
    return [f"{method.upper()} {parts[1]}" for method in methods]


def node(pointer: str, document: Json) -> Any:
    """What a JSON pointer names; None if the description does not have it."""
    found: Any = document
    for part in _parts(pointer):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError):
            return None
    return found


def sunset(part: Any, key: str) -> datetime.date:
    """The day from which a part can go; never, unless it is deprecated and has one."""
    if isinstance(part, dict) and part.get("deprecated") and key in part:
        return datetime.date.fromisoformat(part[key][:10])
    return datetime.date.max


def noun(kind: str) -> str:
    """Redocly's name of a kind of node, such as `MediaType`, in the form of its rules."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind).lower()


def _reached(node: Any, document: Json) -> set[str]:
    """The names of all schemas that the node refers to; schemas can refer to themselves."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            reference = one.get("$ref")
            if isinstance(reference, str) and reference.startswith(_SCHEMAS):
                name = reference.removeprefix(_SCHEMAS)
                if name not in found:
                    found.add(name)
                    waiting.append(document["components"]["schemas"].get(name))
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return found


def _parts(pointer: str) -> list[str]:
    found = pointer.removeprefix("#/").split("/")
    return [one.replace("~1", "/").replace("~0", "~") for one in found]


def _members(parts: list[str]) -> list[str]:
    """The parts without keywords that only hold others."""
    held = ("properties", "content", "schema", "$ref")
    return [one for one in parts if one not in held]
