"""Text that cannot be stored is refused in every place of every operation."""

import copy
import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from fastapi import FastAPI

from fastapi_base.db.session import Database
from tests.integration.accounts import new_superuser

pytestmark = pytest.mark.anyio

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
# U+0000, and the halves of a surrogate pair in the wrong order.
BAD = ["a\0b", "b\udfff\ud800"]


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for kind in ("anyOf", "oneOf"):
        if kind in schema:
            first = next(part for part in schema[kind] if part.get("type") != "null")
            return {**schema, kind: None, **resolved(document, first)}
    return schema


def sample(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """A valid value with all members that may be given."""
    found = resolved(document, schema)
    if found.get("properties"):
        return {
            name: sample(document, member)
            for name, member in found["properties"].items()
            # Instead of `code`, never together with it.
            if name != "recovery_code"
        }
    if schema.get("examples") or found.get("examples"):
        return copy.deepcopy((schema.get("examples") or found["examples"])[0])
    if "const" in found or "enum" in found or "default" in found:
        return found.get("const", (found.get("enum") or [None])[0] or found.get("default"))
    if found.get("type") == "array":
        return [sample(document, found["items"])]
    if found.get("format") == "uuid":
        return str(uuid.uuid4())
    return {"boolean": True, "integer": 1, "number": 1, "object": {"a": "b"}}.get(
        found.get("type", ""), "a"
    )


def spoilt(value: Any, bad: str) -> Iterator[Any]:
    """The value, repeatedly, with the bad text in place of one text or member name."""
    if isinstance(value, str):
        yield bad
    elif isinstance(value, dict):
        yield {**value, bad: 1}
        for name, part in value.items():
            for other in spoilt(part, bad):
                yield {**value, name: other}
            if part is None:
                yield {**value, name: bad}
    elif isinstance(value, list):
        yield [*value, bad]
        for at, part in enumerate(value):
            for other in spoilt(part, bad):
                yield [*value[:at], other, *value[at + 1 :]]


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def escaped(text: str) -> str:
    return quote(text.encode(errors="surrogatepass"), safe="")


def attempts(
    document: dict[str, Any], path: str, operation: dict[str, Any], bad: str
) -> Iterator[tuple[str, dict[str, str | bytes], bytes]]:
    """URL, headers and body of requests that have the bad text in one place each."""
    parameters = operation.get("parameters", [])
    given = {
        p["name"]: escaped(str(sample(document, {**p["schema"], "examples": p.get("examples")})))
        for p in parameters
        if p["in"] == "path"
    }
    body: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    kind = next(iter(body), "")
    whole = sample(document, body[kind]["schema"]) if kind else None
    content = as_json(whole) if kind == JSON else b""
    headers: dict[str, str | bytes] = {"Content-Type": kind} if kind else {}
    good = path.format(**given)
    for name in given:
        yield path.format(**{**given, name: escaped(bad)}), headers, content
    for p in parameters:
        if p["in"] == "query":
            yield f"{good}?{p['name']}={escaped(bad)}", headers, content
    yield f"{good}?{escaped(bad)}={escaped(bad)}", headers, content
    for name in {p["name"] for p in parameters if p["in"] == "header"} | {"User-Agent"}:
        yield good, {**headers, name: bad.encode(errors="surrogatepass")}, content
    yield good, {**headers, "Cookie": 'session="a\\000b\\355\\240\\200"'}, content
    if kind == JSON:
        for other in spoilt(whole, bad):
            yield good, headers, as_json(other)
            # As bytes where Python's parser accepts them, and outside the plans.
            plain = json.dumps(other, ensure_ascii=False).encode(errors="surrogatepass")
            yield good, {"Content-Type": "application/merge+json"}, plain
    elif kind == FORM:
        for other in spoilt(whole, bad):
            fields = (f"{escaped(name)}={escaped(str(part))}" for name, part in other.items())
            yield good, headers, "&".join(fields).encode()
    elif kind:
        for line in (f"title\n{bad}\n", f"title,{bad}\nx,y\n", bad):
            yield good, headers, line.encode(errors="surrogatepass")


async def test_unstorable_text_in_any_place_causes_no_server_error(
    client: httpx2.AsyncClient, app: FastAPI, database: Database
) -> None:
    document = app.openapi()
    seen: dict[int, int] = {}
    failed = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = operation["operationId"].replace("_", "-")
            me = await new_superuser(client, database, f"{name}@example.com")
            for bad in BAD:
                for address, headers, content in attempts(document, path, operation, bad):
                    fields = [
                        (key.encode(), value if isinstance(value, bytes) else value.encode())
                        for key, value in {**me, **headers}.items()
                    ]
                    reply = await client.request(method, address, content=content, headers=fields)
                    seen[reply.status_code] = seen.get(reply.status_code, 0) + 1
                    if reply.status_code >= 500 and reply.status_code != 503:
                        failed.append((method, address, headers, content[:300], reply.text))
    assert not failed, failed[0]
    # These requests got far enough to be validated by content.
    assert seen[422] > 500, seen
