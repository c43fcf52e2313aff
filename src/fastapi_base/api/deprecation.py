"""Deprecated routes and parameters in the OpenAPI description."""

import re
from collections.abc import Sequence
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from fastapi_base.core.deprecation import SINCE, SUNSET, Deprecation, deprecation_of

_HEADERS = {
    "Deprecation": (
        "When the operation was deprecated, as `@` and seconds since 1970 (RFC 9745).",
        {"type": "string"},
    ),
    "Sunset": (
        "When the operation can be removed (RFC 8594).",
        {"type": "string"},
    ),
    "Link": ("A page about the deprecation.", {"type": "string"}),
}


def describe(document: dict[str, Any], routes: Sequence[BaseRoute]) -> None:
    """Complete the description with what `core.deprecation` marks."""
    for context in iter_route_contexts(routes):
        mark = deprecation_of(context.endpoint)
        item = document["paths"].get(re.sub(r":\w+}", "}", context.path or ""), {})
        for method in context.methods or ():
            operation = item.get(method.lower())
            if mark is not None and operation is not None:
                _describe(operation, mark)
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                _raise(parameter)


def _describe(operation: dict[str, Any], mark: Deprecation) -> None:
    operation |= mark.members
    given = operation.get("description", "")
    operation["description"] = f"{given}\n\n{mark.sentence}".strip()
    sent = {name.decode().title() for name, _ in mark.headers}
    for reply in operation["responses"].values():
        headers = dict(reply.get("headers", {}))
        for name, (text, schema) in _HEADERS.items():
            if name in sent:
                headers.setdefault(name, {"description": text, "schema": schema})
        # Responses share their parts.
        reply["headers"] = headers


def _raise(parameter: dict[str, Any]) -> None:
    """Move the mark of a parameter from its schema, where clients do not look for it."""
    for name in ("deprecated", SINCE, SUNSET):
        if name in parameter["schema"]:
            parameter["schema"] = dict(parameter["schema"])
            parameter[name] = parameter["schema"].pop(name)
