"""The module with which tests create objects of a resource."""

import textwrap
from string import Template

from ops.template.resource.files.naming import lines, names
from ops.template.resource.specification import Field, Resource

_ROWS = Template('''"""$All for tests: over HTTP, and as rows for the tests of list plans."""

from datetime import date, timedelta
from itertools import count
from typing import Any

import httpx2

from $package.core.ids import uuid7
$imports

PATH = "/api/v1/$path"
_numbers = count(1)


async def ${one}_body(client: httpx2.AsyncClient, **more: Any) -> dict[str, Any]:
    """The body of a new $words; what it refers to is created."""
    $numbered
    return {$body, **more}


async def new_$one(client: httpx2.AsyncClient, **more: Any) -> dict[str, Any]:
    """A new $words of the caller."""
    reply = await client.post(PATH, json=await ${one}_body(client, **more))
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


# Some belong to many other accounts, so that PostgreSQL expects few rows of most accounts. Row n
# has the id n and, in all tables like this one, the same owner.
$MANY = """
    INSERT INTO $many (
$columns
    )
    SELECT lpad(to_hex(n), 32, '0')::uuid,
        CASE WHEN n % 100 = 0 THEN ':light' ELSE coalesce(other.id, ':heavy') END::uuid,
        $rows,
        now() - n * interval '1 minute',
        now()
    FROM generate_series(1, :rows) AS n
    LEFT JOIN (SELECT id, 20 * row_number() OVER () AS number FROM users) AS other ON number = n
"""
# The values of each filter: one of most rows, one of few rows, one of no row.
FILTERS = {
    $filters
    "created_from": ("2000-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "2999-01-01T00:00:00Z"),
    "created_before": ("2999-01-01T00:00:00Z", "2000-01-01T00:00:00Z", "2000-01-01T00:00:00Z"),
}
''')


def _each(field: Field) -> str:
    if field.target or field.unique:
        return f'"{field.name}": {field.kind.each}'
    return f'"{field.name}": {field.kind.example}'


def _wrapped(columns: list[str]) -> str:
    indent = " " * 8
    return textwrap.fill(", ".join(columns), 100, initial_indent=indent, subsequent_indent=indent)


def _row(field: Field) -> str:
    if field.target and field.unique:
        return "lpad(to_hex(n), 32, '0')::uuid"
    return field.kind.row


def render(resource: Resource, package: str) -> str:
    """The module that creates objects for tests."""
    fields, chosen = resource.fields, resource.filters
    targets = {field.target for field in fields if field.target}
    names_of = [field.name for field in fields]
    numbered = any(field.unique and not field.target for field in fields)
    return _ROWS.substitute(
        names(resource, package),
        imports="\n".join(
            f"from tests.integration.{target.plural}_rows import new_{target.singular}"
            for target in targets
        ),
        numbered="n = next(_numbers)" if numbered else "",
        body=", ".join(_each(field) for field in fields),
        columns=_wrapped(["id", "owner_id", *names_of, "created_at", "updated_at"]),
        rows=",\n        ".join(_row(field) for field in fields),
        filters=lines([f'"{f.name}": ({", ".join(f.kind.filtered or ())}),' for f in chosen], 4),
    )
