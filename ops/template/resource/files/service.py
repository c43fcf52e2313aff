"""The service of a resource."""

from string import Template

from ops.template.resource.files.naming import lines, names
from ops.template.resource.specification import Resource

_SERVICE = Template('''"""$All and what their owners can do with them.

Those of other owners appear as not found.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from $package.core.errors import NotFound, VersionMismatch
from $package.core.ids import uuid7
from $package.db.session import Database
from $package.models.$many.$one import $Model
from $package.schemas.$many.$one import ${Model}Create, ${Model}Read
from $package.utils.pagination import CompiledListing, Listing, Page, PageQuery
from $package.utils.statements import Statement, StatementRunner

LISTING = Listing(
    "$path",
    col($Model.id),
    {"created_at": col($Model.created_at)},
    default="-created_at",
    ranges={"created_from": "created_at", "created_before": "created_at"},
)
COLUMNS = (
    col($Model.id),
    $columns
    col($Model.version),
    col($Model.created_at),
    col($Model.updated_at),
)
_CREATE = Statement(
    insert($Model).returning(*COLUMNS), columns=("id", "owner_id", *${Model}Create.model_fields)
)
_READ = TypeAdapter(list[${Model}Read])
# The versions that a change may be based on, or (None) any.
Versions = Collection[int] | None


@dataclass(frozen=True, slots=True)
class ${Model}Filter:
    """Filters of the list; None means no restriction."""

    $filters
    created_from: datetime | None = None
    created_before: datetime | None = None

    def values(self) -> dict[str, Any]:
        """The active filters, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


_NARROWING: dict[str, ColumnElement[bool]] = {
    $narrowing
    "created_from": col($Model.created_at) >= bindparam("created_from"),
    "created_before": col($Model.created_at) < bindparam("created_before"),
}


def _mine(owner: uuid.UUID, ${one}_id: uuid.UUID) -> list[ColumnElement[bool]]:
    return [col($Model.owner_id) == owner, col($Model.id) == ${one}_id]


@cache
def _walk(narrowing: frozenset[str]) -> CompiledListing:
    """The owner's list, compiled once per set of filters."""
    conditions = (_NARROWING[name] for name in sorted(narrowing))
    owned = col($Model.owner_id) == bindparam("owner")
    return CompiledListing(select(*COLUMNS).where(owned, *conditions))


async def listed(
    database: Database, owner: uuid.UUID, chosen: ${Model}Filter, query: PageQuery
) -> Page[${Model}Read]:
    """One page of the owner's $all."""
    given = chosen.values()
    walk = _walk(frozenset(given))
    return await walk.fetch(database, {"owner": owner, **given}, query, _READ.validate_python)


async def get(database: Database, owner: uuid.UUID, ${one}_id: uuid.UUID) -> ${Model}Read:
    """One $words. Raises NotFound."""
    async with database.read() as connection:
        found = await _find(connection, owner, ${one}_id)
    if found is None:
        raise NotFound("The $words does not exist")
    return found


async def _find(
    connection: AsyncConnection, owner: uuid.UUID, ${one}_id: uuid.UUID
) -> ${Model}Read | None:
    statement = select(*COLUMNS).where(*_mine(owner, ${one}_id))
    row = (await connection.execute(statement)).first()
    return None if row is None else ${Model}Read.model_validate(row)


async def create(database: StatementRunner, owner: uuid.UUID, body: ${Model}Create) -> ${Model}Read:
    """Create $an.$conflict"""
    (row,) = await database.run(_CREATE, _row(owner, body))
    return ${Model}Read.model_validate(row)


async def create_many(
    session: AsyncSession, owner: uuid.UUID, bodies: Sequence[${Model}Create]
) -> list[uuid.UUID]:
    """Create all of these $all or none; returns their ids in the same order."""
    rows = [_row(owner, body) for body in bodies]
    await (await session.connection()).execute(insert($Model), rows)
    return [row["id"] for row in rows]


def _row(owner: uuid.UUID, body: ${Model}Create) -> dict[str, Any]:
    return {"id": uuid7(), "owner_id": owner, **body.model_dump()}


async def change(
    session: AsyncSession,
    owner: uuid.UUID,
    ${one}_id: uuid.UUID,
    versions: Versions,
    changes: dict[str, Any],
) -> ${Model}Read:
    """Change $an unless somebody else did since the caller read it.

    Raises NotFound, and VersionMismatch if its version is none of `versions`.
    """
    statement = (
        update($Model)
        .where(*_mine(owner, ${one}_id), *_based_on(versions))
        .values(**changes, version=col($Model.version) + 1, updated_at=datetime.now(UTC))
        .returning(*COLUMNS)
    )
    connection = await session.connection()
    row = (await connection.execute(statement)).first()
    if row is None:
        raise await _refusal(connection, owner, ${one}_id)
    return ${Model}Read.model_validate(row)


async def remove(
    session: AsyncSession, owner: uuid.UUID, ${one}_id: uuid.UUID, versions: Versions
) -> None:
    """Remove $an permanently. Raises the errors of change()."""
    statement = (
        delete($Model)
        .where(*_mine(owner, ${one}_id), *_based_on(versions))
        .returning(col($Model.id))
    )
    connection = await session.connection()
    if (await connection.execute(statement)).first() is None:
        raise await _refusal(connection, owner, ${one}_id)


async def _refusal(
    connection: AsyncConnection, owner: uuid.UUID, ${one}_id: uuid.UUID
) -> NotFound | VersionMismatch:
    """Why no row was written."""
    current = await _find(connection, owner, ${one}_id)
    if current is None:
        return NotFound("The $words does not exist")
    return VersionMismatch(f"The current version of the $words is {current.version}")


def _based_on(versions: Versions) -> list[ColumnElement[bool]]:
    return [] if versions is None else [col($Model.version).in_(versions)]
''')


def render(resource: Resource, package: str) -> str:
    """The module of the rules."""
    model, chosen = resource.names.model, resource.filters
    said = " Raises Conflict." if any(f.unique or f.target for f in resource.fields) else ""
    return _SERVICE.substitute(
        names(resource, package),
        columns=lines([f"col({model}.{field.name})," for field in resource.fields], 4),
        filters=lines([f"{f.name}: {f.kind.model} | None = None" for f in chosen], 4),
        narrowing=lines(
            [f'"{f.name}": col({model}.{f.name}) == bindparam("{f.name}"),' for f in chosen], 4
        ),
        conflict=said,
    )
