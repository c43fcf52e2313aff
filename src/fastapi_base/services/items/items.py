"""Items: what their owners can do with them. Those of others do not exist."""

import re
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Text, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import NotFound, VersionMismatch
from fastapi_base.core.ids import uuid7
from fastapi_base.db.database import Database
from fastapi_base.db.hooks import after_commit
from fastapi_base.models.item import Item
from fastapi_base.schemas.item import ItemCreate, ItemRead
from fastapi_base.services.jobs.kinds import Kind, Nothing, Priority
from fastapi_base.services.jobs.schedules import Schedule
from fastapi_base.utils.cache import Cache, Namespace
from fastapi_base.utils.pagination import Listing, Page, PageQuery, Walk
from fastapi_base.utils.statements import Runs, Statement

PURGE = Kind("purge-items", Nothing, priority=Priority.BACKGROUND)
SCHEDULE = Schedule("purge-items", PURGE, "30 3 * * *", lambda _: Nothing())
KEEP_DELETED = timedelta(days=30)
# From so many rows on, COPY is faster than INSERT.
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
)
COLUMNS = (
    col(Item.id),
    col(Item.title),
    col(Item.description),
    col(Item.version),
    col(Item.created_at),
    col(Item.updated_at),
)
# A new item needs no drop: nobody could ask for its id before.
CACHED = Namespace("items", 1, ItemRead, ttl=300, stale=300, absent=10)
_CREATE = Statement(
    insert(Item).returning(*COLUMNS), columns=("id", "owner_id", "title", "description")
)
_READ = TypeAdapter(list[ItemRead])
# What a change may be based on: these versions, or (None) any.
Versions = Collection[int] | None


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which of them; what is None does not narrow."""

    title_prefix: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None

    def values(self) -> dict[str, Any]:
        """Those that narrow, by name."""
        given = {
            "title_prefix": self.title_prefix and _like(self.title_prefix),
            "created_from": self.created_from,
            "created_before": self.created_before,
        }
        return {name: value for name, value in given.items() if value}


_NARROWING: dict[str, ColumnElement[bool]] = {
    "title_prefix": col(Item.title).like(bindparam("title_prefix", type_=Text), escape="\\"),
    "created_from": col(Item.created_at) >= bindparam("created_from"),
    "created_before": col(Item.created_at) < bindparam("created_before"),
}


def _like(prefix: str) -> str:
    """The pattern of what begins so."""
    return re.sub(r"([%_\\])", r"\\\1", prefix) + "%"


def _mine(owner: uuid.UUID, item_id: uuid.UUID | None = None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [col(Item.owner_id) == owner, col(Item.deleted_at).is_(None)]
    return found if item_id is None else [*found, col(Item.id) == item_id]


@cache
def _walk(narrowing: frozenset[str]) -> Walk:
    """Their list, compiled once for each set of filters."""
    conditions = (_NARROWING[name] for name in sorted(narrowing))
    owned = (col(Item.owner_id) == bindparam("owner"), col(Item.deleted_at).is_(None))
    return Walk(select(*COLUMNS).where(*owned, *conditions))


async def listed(
    database: Database, owner: uuid.UUID, chosen: ItemFilter, query: PageQuery
) -> Page[ItemRead]:
    """One page of them."""
    given = chosen.values()
    walk = _walk(frozenset(given))
    return await walk.fetch(database, {"owner": owner, **given}, query, _READ.validate_python)


async def get(cache: Cache, database: Database, owner: uuid.UUID, item_id: uuid.UUID) -> ItemRead:
    """One of them, out of the cache where it is. Raises NotFound."""

    async def load() -> ItemRead | None:
        async with database.read() as connection:
            return await _find(connection, owner, item_id)

    item = await cache.get(CACHED.key(owner, item_id), load)
    if item is None:
        raise NotFound("There is no such item")
    return item


async def _find(
    connection: AsyncConnection, owner: uuid.UUID, item_id: uuid.UUID
) -> ItemRead | None:
    statement = select(*COLUMNS).where(*_mine(owner, item_id))
    row = (await connection.execute(statement)).first()
    return None if row is None else ItemRead.model_validate(row)


async def create(database: Runs, owner: uuid.UUID, body: ItemCreate) -> ItemRead:
    """A new one."""
    (row,) = await database.run(_CREATE, _row(owner, body))
    return ItemRead.model_validate(row)


async def create_many(
    session: AsyncSession, owner: uuid.UUID, bodies: Sequence[ItemCreate]
) -> list[uuid.UUID]:
    """All of these, or none; their ids in the same order."""
    rows = [_row(owner, body) for body in bodies]
    connection = await session.connection()
    if len(rows) < COPY_FROM_ROWS:
        await connection.execute(insert(Item), rows)
    else:
        # COPY takes neither Python's defaults nor a statement: the driver's own call, on the
        # connection and so in the transaction of the session.
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
    """Change one, unless somebody else did since the caller read it.

    Raises NotFound, and VersionMismatch when its version is none of `versions`.
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
            raise NotFound("There is no such item")
        raise VersionMismatch(f"The item has version {current.version} now")
    _forget(session, cache, owner, item_id)
    return ItemRead.model_validate(row)


async def remove(
    session: AsyncSession,
    cache: Cache,
    owner: uuid.UUID,
    item_id: uuid.UUID,
    versions: Versions,
) -> None:
    """Hide one from all reads; restore() brings it back until purge(). Raises as change()."""
    await change(session, cache, owner, item_id, versions, {"deleted_at": datetime.now(UTC)})


async def restore(
    session: AsyncSession, cache: Cache, owner: uuid.UUID, item_id: uuid.UUID
) -> ItemRead:
    """Bring back one that was removed. Raises NotFound also when it was not."""
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
        raise NotFound("There is no such removed item")
    _forget(session, cache, owner, item_id)
    return ItemRead.model_validate(row)


async def purge(session: AsyncSession, keep: timedelta = KEEP_DELETED) -> int:
    """Remove for good what was removed longer than `keep` ago; how many those were."""
    old = datetime.now(UTC) - keep
    return (await session.exec(delete(Item).where(col(Item.deleted_at) < old))).rowcount


def _forget(session: AsyncSession, cache: Cache, owner: uuid.UUID, item_id: uuid.UUID) -> None:
    after_commit(session, lambda: cache.drop(CACHED.key(owner, item_id)))


def _based_on(versions: Versions) -> list[ColumnElement[bool]]:
    return [] if versions is None else [col(Item.version).in_(versions)]
