"""The generated modules of the TypeScript client: types by openapi-typescript, and constants."""

import copy
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from ops.ci import node

type Json = dict[str, Any]

_NOTE = "// Generated from the OpenAPI description by `make clients`: changes here are lost.\n"
_PROBLEM = {
    "description": "An error.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_VERSION = re.compile(r'^(  "version": )"[^"]*"', re.MULTILINE)


def modules(document: Json, root: Path) -> dict[str, str]:
    """The text of each generated module by its file name. Raises ToolError."""
    return {"schema.ts": _schema(document, root), "generated.ts": _constants(document)}


def package(text: str, document: Json) -> str:
    """The text of package.json with the version of the API."""
    return _VERSION.sub(lambda found: f'{found[1]}"{document["info"]["version"]}"', text)


def _schema(document: Json, root: Path) -> str:
    programs = node.programs(root, "typescript")
    path = node.path(programs)
    with tempfile.TemporaryDirectory(prefix="schema-") as place:
        folder = Path(place)
        (folder / "openapi.json").write_text(json.dumps(_short(document)), encoding="utf-8")
        command = [f"{programs}/openapi-typescript", "openapi.json", "--output", "schema.ts"]
        node.run(command, folder, path)
        return _NOTE + (folder / "schema.ts").read_text(encoding="utf-8")


def _short(document: Json) -> Json:
    """The description with one response for all errors of an operation: their bodies are alike."""
    short = copy.deepcopy(document)
    for item in short["paths"].values():
        for operation in item.values():
            replies = operation["responses"].items()
            operation["responses"] = {
                status: {key: value for key, value in reply.items() if key != "headers"}
                for status, reply in replies
                if status < "4"
            } | {"default": _PROBLEM}
    short["components"].pop("examples")
    return short


def _constants(document: Json) -> str:
    once, public = [], []
    for path, item in sorted(document["paths"].items()):
        for method, operation in sorted(item.items()):
            name = f"{method.upper()} {path}"
            if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ())):
                once.append(name)
            if operation["security"] == []:
                public.append(name)
    codes = sorted(document["components"]["examples"])
    lines = [
        _NOTE,
        "/** The version of the API. */",
        f'export const VERSION = "{document["info"]["version"]}";',
        "/** The types of problem documents. */",
        "export type ProblemCode =",
        *(f'  | "{code}"' for code in codes[:-1]),
        f'  | "{codes[-1]}";',
        "/** Operations that take an Idempotency-Key. */",
        f"export const ONCE: ReadonlySet<string> = new Set({_list(once)});",
        "/** Operations that are called without credentials. */",
        f"export const PUBLIC: ReadonlySet<string> = new Set({_list(public)});",
    ]
    return "\n".join(lines) + "\n"


def _list(names: list[str]) -> str:
    return "[\n" + "".join(f'  "{name}",\n' for name in names) + "]"
