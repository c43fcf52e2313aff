"""What callers depend on in an OpenAPI description, as a file whose diffs are short.

Texts for people and examples are left out. A response lists the kinds of its problem documents.
"""

import json
from pathlib import Path
from typing import Any

PROBLEMS = "x-problems"
_PROBLEM = "application/problem+json"
_TEXTS = frozenset({"description", "summary", "title", "example", "examples", "externalDocs"})
_WIDTH = 110

type Json = dict[str, Any]


def present() -> Json:
    """The reduced description of this tree's application."""
    return reduced(complete())


def complete() -> Json:
    """The description of this tree's application, independent of the environment."""
    # Only here: the application takes long to import.
    from fastapi_base.core.config import AppSettings, LogSettings, Settings
    from fastapi_base.main import create_app

    # Without the notice about keys, which are those of development here.
    settings = Settings(app=AppSettings(environment="test"), log=LogSettings(level="ERROR"))
    return create_app(settings).openapi()


def reduced(document: Json) -> Json:
    """The description without texts, in the order of its paths and names."""
    kept = {
        "openapi": document["openapi"],
        "info": {"title": "", "version": document["info"]["version"]},
        "paths": {
            path: {method: _operation(operation) for method, operation in sorted(item.items())}
            for path, item in sorted(document["paths"].items())
        },
        "components": {
            kind: dict(sorted(document.get("components", {}).get(kind, {}).items()))
            for kind in ("schemas", "securitySchemes")
        },
    }
    # It is compared with what was read from a file.
    found: Json = json.loads(json.dumps(_without_texts(kept)))
    found["info"]["title"] = ""
    return found


def dumped(document: Json) -> str:
    """The description as JSON, with each node on one line if it fits."""
    return _text(document, 0) + "\n"


def read(file: Path) -> Json:
    """The description in a file."""
    found: Json = json.loads(file.read_text(encoding="utf-8"))
    return found


def _operation(operation: Json) -> Json:
    kept = {key: value for key, value in operation.items() if key != "tags"}
    kept["responses"] = {
        status: {**reply, PROBLEMS: sorted(codes)}
        if (codes := reply.get("content", {}).get(_PROBLEM, {}).get("examples"))
        else reply
        for status, reply in sorted(operation["responses"].items())
    }
    return kept


def _without_texts(node: Any, *, names: bool = False) -> Any:
    """The node without texts. The keys of ``names`` are those of members, not keywords."""
    if isinstance(node, dict):
        return {
            key: _without_texts(
                value, names=not names and key in ("properties", "schemas", "headers")
            )
            for key, value in node.items()
            if names or key not in _TEXTS
        }
    if isinstance(node, list):
        return [_without_texts(one) for one in node]
    return node


def _text(node: Any, indent: int, *, prefix: int = 0) -> str:
    """The node as JSON; its first line starts after ``indent`` and ``prefix`` characters."""
    line = json.dumps(node, ensure_ascii=False)
    if indent + prefix + len(line) <= _WIDTH or not isinstance(node, dict | list):
        return line
    if isinstance(node, dict):
        parts = []
        for key, value in node.items():
            name = f"{json.dumps(key)}: "
            parts.append(name + _text(value, indent + 2, prefix=len(name)))
    else:
        parts = [_text(one, indent + 2) for one in node]
    start, end = "{}" if isinstance(node, dict) else "[]"
    inner = "\n" + " " * (indent + 2)
    return f"{start}{inner}{f',{inner}'.join(parts)}\n{' ' * indent}{end}"
