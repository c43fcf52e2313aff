"""Pairs of descriptions, each with one change, and what the gate says about it.

All pairs stand in one pair of descriptions, each in a path and a schema of its own.
"""

from dataclasses import dataclass, field
from typing import Any

type Json = dict[str, Any]

REQUEST, RESPONSE = "request", "response"


@dataclass(frozen=True)
class Case:
    """One change. Without operations, the schemas are that of a request or a response."""

    name: str
    level: str
    said: str
    old: Json = field(default_factory=dict)
    new: Json = field(default_factory=dict)
    way: str = ""

    @property
    def path(self) -> str:
        return f"/{self.name}"

    @property
    def schema(self) -> str:
        return "".join(word.title() for word in self.name.split("-"))


def descriptions(cases: list[Case]) -> tuple[Json, Json]:
    """The old and the new description."""
    return _description([(case, case.old) for case in cases]), _description(
        [(case, case.new) for case in cases]
    )


def _description(parts: list[tuple[Case, Json]]) -> Json:
    paths: Json = {}
    schemas: Json = {"Shared": thing(a=TEXT)}
    for case, part in parts:
        if case.way:
            schemas[case.schema] = part
            content = {
                "application/json": {"schema": {"$ref": f"#/components/schemas/{case.schema}"}}
            }
            body = {"requestBody": {"content": content}} if case.way == REQUEST else {}
            reply = {} if case.way == REQUEST else {"content": content}
            paths[case.path] = {"post": {**body, "responses": {"200": reply}}}
        elif part:
            paths[case.path] = {"get": {"responses": {"200": {}}, **part}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "", "version": "1.0.0"},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                name: {"type": "http", "scheme": "bearer"} for name in ("token", "key")
            },
        },
    }


def thing(required: tuple[str, ...] = (), **members: Json) -> Json:
    """The schema of an object."""
    return {"type": "object", "properties": members, "required": [*required]}


def query(name: str, schema: Json | None = None, **more: Any) -> Json:
    """A parameter of the query."""
    return {"name": name, "in": "query", "schema": schema or TEXT, **more}


TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "integer"}
NULL: Json = {"type": "null"}
EITHER: Json = {"anyOf": [TEXT, NULL]}


def alternatives(*kinds: Json) -> Json:
    return {"anyOf": [*kinds]}


def choice(*values: str) -> Json:
    return {"type": "string", "enum": [*values]}


def reply(status: str = "200", **parts: Any) -> Json:
    return {"responses": {"200": {}, status: parts}}


def body(*media_types: str, required: bool = False) -> Json:
    content = {kind: {"schema": TEXT} for kind in media_types}
    return {"requestBody": {"content": content, "required": required}}


def content(*media_types: str) -> Json:
    return {"content": {kind: {"schema": TEXT} for kind in media_types}}


def case(name: str, level: str, said: str, old: Json, new: Json, way: str = "") -> Case:
    return Case(name, level, said, old, new, way)


GET: Json = {"operationId": "get"}
JSON, CSV = "application/json", "text/csv"
SOON, LATER = {"x-sunset": "2026-03-01"}, {"x-sunset": "2027-03-01"}
OLD: Json = {"deprecated": True}
LONG, SHORT = {**TEXT, "maxLength": 9}, {**TEXT, "maxLength": 5}
SHARED: Json = {"$ref": "#/components/schemas/Shared"}
MAYBE_SHARED = thing(a=alternatives(SHARED, NULL))
TREE: Json = {
    "type": "object",
    "properties": {"next": {"$ref": "#/components/schemas/Cycle"}, "a": TEXT},
    "required": ["a"],
}

OPERATIONS = [
    case("operation-removed", "breaking", "was removed", GET, {}),
    case("operation-added", "added", "added", {}, GET),
    case("operation-renamed", "breaking", "operationId", GET, {"operationId": "find"}),
    case("operation-deprecated", "deprecated", "It is deprecated", GET, {**GET, **OLD}),
    case("operation-revived", "changed", "no longer deprecated", {**GET, **OLD}, GET),
    case("sunset-past", "changed", "Its sunset was 2026-03-01", {**GET, **OLD, **SOON}, {}),
    case("sunset-to-come", "breaking", "was removed", {**GET, **OLD, **LATER}, {}),
    case("sunset-earlier", "breaking", "moved to 2026-03-01", {**OLD, **LATER}, {**OLD, **SOON}),
    case("sunset-later", "deprecated", "instead of 2026-03-01", {**OLD, **SOON}, {**OLD, **LATER}),
    case(
        "scope-added",
        "breaking",
        "requires new scopes: 'b'",
        {"security": [{"token": ["a"]}]},
        {"security": [{"token": ["a", "b"]}]},
    ),
    case(
        "credential-refused",
        "breaking",
        "`key` is no longer accepted",
        {"security": [{"token": []}, {"key": []}]},
        {"security": [{"token": []}]},
    ),
    case(
        "credential-accepted",
        "added",
        "security",
        {"security": [{"token": []}]},
        {"security": [{"token": []}, {"key": []}]},
    ),
    case(
        "public-closed",
        "breaking",
        "Authentication became required",
        {"security": []},
        {"security": [{"token": []}]},
    ),
    case(
        "parameter-removed",
        "breaking",
        "`a` query parameter was removed",
        {"parameters": [query("a")]},
        {"parameters": []},
    ),
    case(
        "parameter-required",
        "breaking",
        "Required `a` query parameter was added",
        {"parameters": []},
        {"parameters": [query("a", required=True)]},
    ),
    case(
        "parameter-optional",
        "added",
        "parameter",
        {"parameters": []},
        {"parameters": [query("a")]},
    ),
    case(
        "parameter-narrowed",
        "breaking",
        "<= 5",
        {"parameters": [query("a", {**NUMBER, "maximum": 9})]},
        {"parameters": [query("a", {**NUMBER, "maximum": 5})]},
    ),
    case(
        "default-changed",
        "changed",
        "`default` is 2 instead of 1",
        {"parameters": [query("a", {**NUMBER, "default": 1})]},
        {"parameters": [query("a", {**NUMBER, "default": 2})]},
    ),
    case("body-required", "breaking", "required", body(JSON), body(JSON, required=True)),
    case("body-media-type-gone", "breaking", "`text/csv` was removed", body(JSON, CSV), body(JSON)),
    case("body-media-type-new", "added", "media-type", body(JSON), body(JSON, CSV)),
    case("reply-gone", "breaking", "`304` was removed", reply("304"), reply()),
    case("reply-new", "added", "response", reply(), reply("202")),
    case("error-gone", "changed", "`404` was removed", reply("404"), reply()),
    case("error-new", "added", "response", reply(), reply("404")),
    case(
        "reply-media-type-gone",
        "breaking",
        "`text/csv` was removed",
        reply(**content(JSON, CSV)),
        reply(**content(JSON)),
    ),
    case(
        "header-gone",
        "breaking",
        "header `ETag` was removed",
        reply(headers={"ETag": {"schema": TEXT}}),
        reply(headers={}),
    ),
    case(
        "problem-gone",
        "breaking",
        "problem of the type `gone-for-good`",
        reply("404", **{"x-problems": ["gone-for-good", "x"]}),
        reply("404", **{"x-problems": ["x"]}),
    ),
]

SCHEMAS = [
    case("sent-required", "breaking", "`a`", thing(a=TEXT), thing(("a",), a=TEXT), REQUEST),
    case("sent-optional", "changed", "required", thing(("a",), a=TEXT), thing(a=TEXT), REQUEST),
    case(
        "sent-removed", "breaking", "SentRemoved.a", thing(a=TEXT, b=TEXT), thing(b=TEXT), REQUEST
    ),
    case("sent-added", "added", "", thing(b=TEXT), thing(a=TEXT, b=TEXT), REQUEST),
    case("sent-member-required", "breaking", "`a`", thing(), thing(("a",), a=TEXT), REQUEST),
    case("sent-number", "breaking", "Type", thing(a=TEXT), thing(a=NUMBER), REQUEST),
    case("sent-null-refused", "breaking", "Type", thing(a=EITHER), thing(a=TEXT), REQUEST),
    case("sent-null", "changed", "type", thing(a=TEXT), thing(a=EITHER), REQUEST),
    case("sent-choice-gone", "breaking", "'b'", choice("a", "b"), choice("a"), REQUEST),
    case("sent-choice-new", "changed", "enum", choice("a"), choice("a", "b"), REQUEST),
    case("sent-shorter", "breaking", "maxLength", thing(a=LONG), thing(a=SHORT), REQUEST),
    case("sent-longer", "changed", "maxLength", thing(a=SHORT), thing(a=LONG), REQUEST),
    case(
        "sent-pattern",
        "breaking",
        "pattern",
        thing(a=TEXT),
        thing(a=TEXT | {"pattern": "^a"}),
        REQUEST,
    ),
    case(
        "sent-closed",
        "breaking",
        "Other members",
        thing(a=TEXT),
        {**thing(a=TEXT), "additionalProperties": False},
        REQUEST,
    ),
    case(
        "sent-alternative-gone",
        "breaking",
        "anyOf",
        alternatives(TEXT, NUMBER),
        alternatives(TEXT),
        REQUEST,
    ),
    case("got-removed", "breaking", "`a`", thing(a=TEXT, b=TEXT), thing(b=TEXT), RESPONSE),
    case("got-optional", "breaking", "`a`", thing(("a",), a=TEXT), thing(a=TEXT), RESPONSE),
    case("got-required", "changed", "required", thing(a=TEXT), thing(("a",), a=TEXT), RESPONSE),
    case("got-added", "added", "", thing(b=TEXT), thing(a=TEXT, b=TEXT), RESPONSE),
    case("got-null", "breaking", "Type", thing(a=TEXT), thing(a=EITHER), RESPONSE),
    case("got-no-null", "changed", "", thing(a=EITHER), thing(a=TEXT), RESPONSE),
    case("got-number", "breaking", "Type", thing(a=TEXT), thing(a=NUMBER), RESPONSE),
    case("got-choice-new", "breaking", "'b'", choice("a"), choice("a", "b"), RESPONSE),
    case("got-choice-gone", "changed", "enum", choice("a", "b"), choice("a"), RESPONSE),
    case("got-longer", "breaking", "maxLength", thing(a=SHORT), thing(a=LONG), RESPONSE),
    case("got-shorter", "changed", "maxLength", thing(a=LONG), thing(a=SHORT), RESPONSE),
    case(
        "got-alternative-new",
        "breaking",
        "anyOf",
        alternatives(TEXT),
        alternatives(TEXT, NUMBER),
        RESPONSE,
    ),
    case("got-deprecated", "deprecated", "", thing(a=TEXT), thing(a=TEXT | OLD), RESPONSE),
    case(
        "sent-null-reference",
        "added",
        "anyOf",
        thing(a=SHARED),
        thing(a=alternatives(SHARED, NULL)),
        REQUEST,
    ),
    case(
        "got-null-reference",
        "breaking",
        "anyOf",
        thing(a=SHARED),
        thing(a=alternatives(SHARED, NULL)),
        RESPONSE,
    ),
    case("got-sunset-past", "changed", "sunset was", thing(a=TEXT | OLD | SOON), thing(), RESPONSE),
    case("cycle", "breaking", "`a`", TREE, {**TREE, "required": []}, RESPONSE),
]
