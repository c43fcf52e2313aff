"""The generated modules of the Python client: types, problems and a function for each operation."""

import keyword
import re
import textwrap
from collections.abc import Iterator
from typing import Any

type Json = dict[str, Any]

_NOTE = "Generated from the OpenAPI description by `make clients`: changes here are lost."
_PROBLEM = "application/problem+json"
_ONCE = "Idempotency-Key"
_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
# Media types of request bodies, best first, and the argument of Call that takes them.
_BODIES = {
    "application/json": "json",
    "application/x-www-form-urlencoded": "form",
    "text/csv": "content",
}
_WIDTH = 92


def modules(document: Json) -> dict[str, str]:
    """The text of each generated module by its file name, before formatting."""
    return {
        "models.py": _models(document),
        "operations.py": _operations(document),
        "problems.py": _problems(document),
        "version.py": (
            f'"""The version of the API.\n\n{_NOTE}\n"""\n\n'
            f'VERSION = "{document["info"]["version"]}"\n'
        ),
    }


def _models(document: Json) -> str:
    parts = [
        f'"""What requests and responses hold.\n\n{_NOTE}\n"""\n',
        "from __future__ import annotations\n",
        "from typing import Any, Literal, NotRequired, TypedDict\n",
    ]
    for name, schema in document["components"]["schemas"].items():
        if "properties" in schema:
            parts += ["", f"class {name}(TypedDict):", *_members(schema), ""]
        else:
            parts.append(f"type {name} = {_type(schema)}")
    return "\n".join(parts) + "\n"


def _members(schema: Json) -> Iterator[str]:
    yield _docstring(schema.get("description", "An object."), "    ")
    required = schema.get("required", ())
    for name, member in schema["properties"].items():
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(f"the member {name!r} is no name in Python")
        kind = _type(member)
        yield f"    {name}: {kind if name in required else f'NotRequired[{kind}]'}"
        if text := member.get("description"):
            yield _docstring(text, "    ")


def _type(schema: Json, module: str = "") -> str:
    """The Python type of a schema; the names of components stand in ``module``."""
    if "$ref" in schema:
        return f"{module}{schema['$ref'].rsplit('/', 1)[1]}"
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return f"Literal[{', '.join(map(repr, values))}]"
    kinds = schema.get("anyOf") or schema.get("oneOf")
    if kinds:
        return " | ".join(dict.fromkeys(_type(kind, module) for kind in kinds))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type({**schema, "type": one}, module) for one in kind)
    if kind == "array":
        return f"list[{_type(schema.get('items', {}), module)}]"
    if kind == "object":
        more = schema.get("additionalProperties")
        return f"dict[str, {_type(more, module) if isinstance(more, dict) else 'Any'}]"
    return _SCALARS.get(kind or "", "Any")


def _problems(document: Json) -> str:
    """A class for each type of problem document."""
    titles = {
        code: example["value"]["title"]
        for code, example in sorted(document["components"]["examples"].items())
    }
    parts = [f'"""The errors that the API answers, by their type.\n\n{_NOTE}\n"""\n']
    parts.append("from fastapi_base_client.errors import ApiError\n")
    for code, title in titles.items():
        parts += ["", f"class {_class(code)}(ApiError):", _docstring(title, "    ")]
        parts += ["", f'    code = "{code}"', ""]
    return "\n".join(parts) + "\n"


def _class(code: str) -> str:
    return "".join(word.capitalize() for word in code.split("-"))


def _operations(document: Json) -> str:
    parts = [
        '"""A function for each operation. A client sends the call that it returns.\n',
        f'{_NOTE}\n"""\n',
        "from __future__ import annotations\n",
        "from typing import Any, Literal\n",
        "from fastapi_base_client import models",
        "from fastapi_base_client.call import Call, PageCall, segment\n",
    ]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            parts += ["", *_function(path, method, operation, document), ""]
    return "\n".join(parts) + "\n"


def _function(path: str, method: str, operation: Json, document: Json) -> Iterator[str]:
    name = operation["operationId"]
    parameters = operation.get("parameters", [])
    in_path = [one for one in parameters if one["in"] == "path"]
    others = [one for one in parameters if one["in"] != "path"]
    body = _body(operation)
    positional = [f"{_name(one)}: {_type(one['schema'], 'models.')}" for one in in_path]
    if body:
        positional.append(f"body: {body[1]}")
    named = [_argument(one) for one in others]
    arguments = [*positional, *(["*", *named] if named else [])]
    reply = _reply(operation)
    item = _listed(reply, document)
    kind = f"PageCall[{reply}, {item}]" if item else f"Call[{reply}]"
    yield f"def {name}({', '.join(arguments)}) -> {kind}:"
    yield _docstring(f"{operation['summary']}.\n\n{operation['description']}", "    ")
    template = re.sub(r"{(\w+)}", lambda found: f"{{segment({found[1]})}}", path)
    given = [f'"{name}"', f'"{method.upper()}"', f'{"f" if in_path else ""}"{template}"']
    for place, argument in (("query", "query"), ("header", "headers")):
        pairs = [f'"{one["name"]}": {_name(one)}' for one in others if one["in"] == place]
        if pairs:
            given.append(f"{argument}={{{', '.join(pairs)}}}")
    if body:
        given.append(f"{body[0]}=body")
    if any(one["name"] == _ONCE for one in others):
        given.append("once=True")
    if operation["security"] == []:
        given.append("public=True")
    yield f"    return {kind.partition('[')[0]}({', '.join(given)})"


def _name(parameter: Json) -> str:
    return str(parameter["name"]).lower().replace("-", "_")


def _argument(parameter: Json) -> str:
    kind = _type(parameter["schema"], "models.")
    name = _name(parameter)
    return f"{name}: {kind}" if parameter.get("required") else f"{name}: {kind} | None = None"


def _body(operation: Json) -> tuple[str, str] | None:
    """The argument of Call for the body, and the body's type."""
    content = operation.get("requestBody", {}).get("content", {})
    for media_type, argument in _BODIES.items():
        if media_type in content:
            if argument == "content":
                return f'media_type="{media_type}", content', "bytes"
            kind = _type(content[media_type]["schema"], "models.")
            required = operation["requestBody"].get("required")
            return argument, kind if required else f"{kind} | None = None"
    if content:
        raise ValueError(f"{operation['operationId']}: no known media type in {sorted(content)}")
    return None


def _reply(operation: Json) -> str:
    kinds = []
    for status, reply in operation["responses"].items():
        if status.startswith("2"):
            content = reply.get("content", {})
            json = content.get("application/json")
            kinds.append(_type(json["schema"], "models.") if json else "bytes" if content else "")
    # A response without content beside others is empty bytes.
    found = [kind for kind in dict.fromkeys(kinds) if kind]
    return " | ".join(found) or "None"


def _listed(reply: str, document: Json) -> str:
    """The type of the objects on a page; empty if the reply is no page."""
    schema = document["components"]["schemas"].get(reply.removeprefix("models."), {})
    members = schema.get("properties", {})
    if {"items", "next", "previous"} <= members.keys():
        return _type(members["items"]["items"], "models.")
    return ""


def _docstring(text: str, indent: str) -> str:
    text = text.strip().replace("\\", "\\\\").replace('"""', "'''")
    width = _WIDTH - len(indent)
    lines = [
        line
        for part in text.split("\n")
        for line in (textwrap.wrap(part, width, break_long_words=False) or [""])
    ]
    end = "" if len(lines) == 1 else f"\n{indent}"
    return f'{indent}"""' + f"\n{indent}".join(lines).replace(f"\n{indent}\n", "\n\n") + f'{end}"""'
