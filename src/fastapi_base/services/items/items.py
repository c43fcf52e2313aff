"""Items and what their owners can do with them. Other owners' items appear as not found."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Text,
    bindparam,
    collate,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import NotFound, VersionMismatch
from fastapi_base.core.ids import uuid7
from fastapi_base.db import batches
from fastapi_base.db.batches import BATCH
from fastapi_base.db.hooks import after_commit
from fastapi_base.db.session import Database
from fastapi_base.models.items.item import Item
from fastapi_base.schemas.items.item import ItemCreate, ItemRead
from fastapi_base.services.jobs.kinds import EmptyPayload, Kind, Priority
from fastapi_base.services.jobs.schedules import Schedule
from fastapi_base.utils.cache import Cache, Namespace, Stamp
from fastapi_base.utils.pagination import CompiledListing, Listing, Page, PageQuery, behind_prefix
from fastapi_base.utils.statements import Statement, StatementRunner

PURGE = Kind("purge-items", EmptyPayload, priority=Priority.BACKGROUND)
SCHEDULE = Schedule("purge-items", PURGE, "30 3 * * *", lambda _: EmptyPayload())
KEEP_DELETED = timedelta(days=30)
# From this number of rows on, COPY is faster than INSERT.
COPY_FROM_ROWS = 200

LISTING = Listing(
    "items",
    col(Item.id),
    {
        "created_at": col(Item.created_at),
        "updated_at": col(Item.updated_at),
        "title": col(Item.title),
    },
    default="-created_at",
    ranges={
        "title_prefix": "title",
        "created_from": "created_at",
        "created_before": "created_at",
    },
)
COLUMNS = (
    col(Item.id),
    col(Item.title),
    col(Item.description),
    col(Item.version),
    col(Item.created_at),
    col(Item.updated_at),
)
# A trigger changes the owner's stamp with each change and removal. A new item needs none: nobody
# could have requested its id before.
CACHED = Namespace("items", 1, ItemRead, ttl=300, stale=300, absent=10)
_CREATE = Statement(
    insert(Item).returning(*COLUMNS), columns=("id", "owner_id", "title", "description")
)
_READ = TypeAdapter(list[ItemRead])
# The versions that a change may be based on, or (None) any.
Versions = Collection[int] | None


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Filters of the list; None means no restriction."""

    title_prefix: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None

    def values(self) -> dict[str, Any]:
        """The active filters, by name."""
        given = {
            "title_prefix": self.title_prefix,
            "title_end": self.title_prefix and behind_prefix(self.title_prefix),
            "created_from": self.created_from,
            "created_before": self.created_before,
        }
        return {name: value for name, value in given.items() if value}


_title = collate(inspect(col(Item.title)), "C")
_NARROWING: dict[str, ColumnElement[bool]] = {
    # The range of the index with this prefix.
    "title_prefix": _title >= bindparam("title_prefix", type_=Text),
    "title_end": _title < bindparam("title_end", type_=Text),
    "created_from": col(Item.created_at) >= bindparam("created_from"),
    "created_before": col(Item.created_at) < bindparam("created_before"),
}


def _mine(owner: uuid.UUID, item_id: uuid.UUID | None = None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [col(Item.owner_id) == owner, col(Item.deleted_at).is_(None)]
    return found if item_id is None else [*found, col(Item.id) == item_id]


@cache
def _walk(narrowing: frozenset[str]) -> CompiledListing:
    """The owner's list, compiled once per set of filters."""
    conditions = (_NARROWING[name] for name in sorted(narrowing))
    owned = (col(Item.owner_id) == bindparam("owner"), col(Item.deleted_at).is_(None))
    return CompiledListing(select(*COLUMNS).where(*owned, *conditions))


async def listed(
    database: Database, owner: uuid.UUID, chosen: ItemFilter, query: PageQuery
) -> Page[ItemRead]:
    """One page of the owner's items."""
    given = chosen.values()
    walk = _walk(frozenset(given))
    return await walk.fetch(database, {"owner": owner, **given}, query, _READ.validate_python)


async def get(
    cache: Cache, database: Database, owner: uuid.UUID, item_id: uuid.UUID, stamp: Stamp
) -> ItemRead:
    """One item, from the cache if present; `stamp` is the owner's. Raises NotFound."""

    async def load() -> ItemRead | None:
        async with database.read() as connection:
            return await _find(connection, owner, item_id)

    item = await cache.get(CACHED.key(owner, item_id), stamp, load)
    if item is None:
        raise NotFound("The item does not exist")
    return item


async def _find(
    connection: AsyncConnection, owner: uuid.UUID, item_id: uuid.UUID
) -> ItemRead | None:
    statement = select(*COLUMNS).where(*_mine(owner, item_id))
    row = (await connection.execute(statement)).first()
    return None if row is None else ItemRead.model_validate(row)


async def create(database: StatementRunner, owner: uuid.UUID, body: ItemCreate) -> ItemRead:
    """Create an item."""
    (row,) = await database.run(_CREATE, _row(owner, body))
    return ItemRead.model_validate(row)


async def create_many(
    session: AsyncSession, owner: uuid.UUID, bodies: Sequence[ItemCreate]
) -> list[uuid.UUID]:
    """Create all of these items or none; returns their ids in the same order."""
    rows = [_row(owner, body) for body in bodies]
    connection = await session.connection()
    if len(rows) < COPY_FROM_ROWS:
        await connection.execute(insert(Item), rows)
    else:
        # COPY applies no Python defaults and is no SQLAlchemy statement: this calls the driver on
        # the session's connection, and so in its transaction.
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        names = list(rows[0])
        records = [tuple(row.values()) for row in rows]
        await driver.copy_records_to_table(Item.__tablename__, records=records, columns=names)
    return [row["id"] for row in rows]


def _row(owner: uuid.UUID, body: ItemCreate) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "owner_id": owner,
        "title": body.title,
        "description": body.description,
    }


async def change(
    session: AsyncSession,
    cache: Cache,
    owner: uuid.UUID,
    item_id: uuid.UUID,
    versions: Versions,
    changes: dict[str, Any],
) -> ItemRead:
    """Change an item unless somebody else did since the caller read it.

    Raises NotFound, and VersionMismatch if its version is none of `versions`.
    """
    statement = (
        update(Item)
        .where(*_mine(owner, item_id), *_based_on(versions))
        .values(**changes, version=col(Item.version) + 1, updated_at=datetime.now(UTC))
        .returning(*COLUMNS)
    )
    connection = await session.connection()
    row = (await connection.execute(statement)).first()
    if row is None:
        current = await _find(connection, owner, item_id)
        if current is None:
            raise NotFound("The item does not exist")
        raise VersionMismatch(f"The current version of the item is {current.version}")
    _forget(session, cache, owner, item_id)
    return ItemRead.model_validate(row)


async def remove(
    session: AsyncSession,
    cache: Cache,
    owner: uuid.UUID,
    item_id: uuid.UUID,
    versions: Versions,
) -> None:
    """Soft-delete an item; restore() undoes that until purge(). Raises the errors of change()."""
    await change(session, cache, owner, item_id, versions, {"deleted_at": datetime.now(UTC)})


async def restore(
    session: AsyncSession, cache: Cache, owner: uuid.UUID, item_id: uuid.UUID
) -> ItemRead:
    """Restore a soft-deleted item. Raises NotFound also if it was not deleted."""
    statement = (
        update(Item)
        .where(
            col(Item.owner_id) == owner,
            col(Item.id) == item_id,
            col(Item.deleted_at).is_not(None),
        )
        .values(deleted_at=None, version=col(Item.version) + 1, updated_at=datetime.now(UTC))
        .returning(*COLUMNS)
    )
    row = (await (await session.connection()).execute(statement)).first()
    if row is None:
        raise NotFound("The item does not exist or is not removed")
    _forget(session, cache, owner, item_id)
    return ItemRead.model_validate(row)


async def purge(database: Database, keep: timedelta = KEEP_DELETED, batch: int = BATCH) -> int:
    """Permanently delete items soft-deleted longer than `keep` ago. Returns their number."""
    old = datetime.now(UTC) - keep
    return await batches.remove(database, Item, col(Item.deleted_at) < old, batch)


def _forget(session: AsyncSession, cache: Cache, owner: uuid.UUID, item_id: uuid.UUID) -> None:
    after_commit(session, lambda: cache.drop(CACHED.key(owner, item_id)))


def _based_on(versions: Versions) -> list[ColumnElement[bool]]:
    return [] if versions is None else [col(Item.version).in_(versions)]
