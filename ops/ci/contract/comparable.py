"""Two descriptions with what both have, in one notation, so that Redocly sees no false changes.

It takes a similar path for a renamed one, and two notations of a nullable value for two kinds.
"""

import copy
import re
from dataclasses import dataclass
from typing import Any

from ops.ci.contract.description import Json

_NULL = {"type": "null"}


@dataclass(frozen=True)
class Pair:
    """The operations that both have, and the names of the others, such as `GET /items`."""

    old: Json
    new: Json
    removed: tuple[str, ...]
    added: tuple[str, ...]
    #: Paths whose parameters have other names, old and new.
    renamed: tuple[tuple[str, str], ...]


def pair(old: Json, new: Json) -> Pair:
    """Align two descriptions. They are not changed."""
    old, new = copy.deepcopy(old), copy.deepcopy(new)
    renamed = _align_parameters(old, new)
    removed, added = _only(old, new), _only(new, old)
    for document, names in ((old, removed), (new, added)):
        for name in names:
            method, path = name.split(" ", 1)
            del document["paths"][path][method.lower()]
        document["paths"] = {path: item for path, item in document["paths"].items() if item}
    schemas = [document["components"]["schemas"] for document in (old, new)]
    for name, schema in schemas[0].items():
        _align_nulls(schema, schemas[1].get(name))
    for path, item in old["paths"].items():
        _align_nulls(item, new["paths"][path])
    return Pair(old, new, removed, added, renamed)


def _only(one: Json, other: Json) -> tuple[str, ...]:
    return tuple(
        f"{method.upper()} {path}"
        for path, item in one["paths"].items()
        for method in item
        if method not in other["paths"].get(path, {})
    )


def _align_parameters(old: Json, new: Json) -> tuple[tuple[str, str], ...]:
    """Give the parameters of paths in the new description their old names."""
    known = {re.sub(r"{[^}]*}", "{}", path): path for path in old["paths"]}
    renamed = []
    for path in [*new["paths"]]:
        before = known.get(re.sub(r"{[^}]*}", "{}", path), path)
        if before == path:
            continue
        renamed.append((before, path))
        names = dict(zip(_parameters(path), _parameters(before), strict=True))
        item = new["paths"].pop(path)
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["name"] = names[parameter["name"]]
        new["paths"].setdefault(before, {}).update(item)
    return tuple(renamed)


def _parameters(path: str) -> list[str]:
    return re.findall(r"{([^}]*)}", path)


def _align_nulls(old: Any, new: Any) -> None:
    """Write a schema that is nullable on one side only in the notation of the other side."""
    if isinstance(old, list) and isinstance(new, list):
        for before, after in zip(old, new, strict=False):
            _align_nulls(before, after)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return
    for one, other in ((old, new), (new, old)):
        kinds = one.get("anyOf", [])
        if _NULL not in kinds or len(kinds) != 2 or "anyOf" in other:
            continue
        (kind,) = (kind for kind in kinds if kind != _NULL)
        if "$ref" in other:
            reference = {"$ref": other.pop("$ref")}
            other["anyOf"] = [reference]
        elif isinstance(kind.get("type"), str):
            del one["anyOf"]
            one |= {**kind, "type": [kind["type"], "null"]}
    for key in old.keys() & new.keys():
        _align_nulls(old[key], new[key])
