"""All items of an owner as a stream, in memory that does not grow with them."""

import csv
import io
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Literal

import orjson
from sqlalchemy import select
from sqlmodel import col

from fastapi_base.db.database import Database
from fastapi_base.models.item import Item
from fastapi_base.schemas.item import ItemRead
from fastapi_base.services.items import COLUMNS

Format = Literal["csv", "ndjson"]
NAMES = list(ItemRead.model_fields)
ROWS_AT_ONCE = 500
# What its rows hold, no type can say here.
Rows = Sequence[Any]


async def export(database: Database, owner: uuid.UUID, form: Format) -> AsyncIterator[bytes]:
    """The items in the order in which they were made, some hundred rows a chunk.

    A server-side cursor reads them, within one transaction: what changes meanwhile does not show.
    A reader who stops reading for DATABASE_IDLE_TRANSACTION_TIMEOUT seconds is cut off.
    """
    write = _WRITERS[form]
    if form == "csv":
        yield _csv([NAMES])
    statement = (
        select(*COLUMNS)
        .where(col(Item.owner_id) == owner, col(Item.deleted_at).is_(None))
        .order_by(col(Item.created_at), col(Item.id))
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    async with database.transaction() as session:
        connection = await session.connection()
        async with connection.stream(statement) as result:
            async for rows in result.partitions():
                yield write(rows)


def _csv(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO(newline="")
    # Quoted unless there is nothing, so that no description and an empty one stay apart.
    csv.writer(text, quoting=csv.QUOTE_NOTNULL).writerows(
        [value.isoformat() if hasattr(value, "isoformat") else value for value in row]
        for row in rows
    )
    return text.getvalue().encode()


def _ndjson(rows: Rows) -> bytes:
    return b"".join(
        orjson.dumps(dict(row._mapping), str, orjson.OPT_APPEND_NEWLINE) for row in rows
    )


_WRITERS: dict[Format, Callable[[Rows], bytes]] = {"csv": _csv, "ndjson": _ndjson}
