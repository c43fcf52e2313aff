"""All items of an owner as a stream, in constant memory."""

import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from sqlalchemy import DateTime, Integer, Uuid, bindparam, func, select, tuple_
from sqlmodel import col

from fastapi_base.models.items.item import Item
from fastapi_base.schemas.items.item import ItemRead
from fastapi_base.services.items.items import COLUMNS
from fastapi_base.utils import spreadsheet
from fastapi_base.utils.statements import Rows, Statement, StatementRunner

type ExportFormat = Literal["csv", "ndjson"]
NAMES = list(ItemRead.model_fields)
ROWS_AT_ONCE = 500

_NOW = Statement(select(func.now().label("now")))
_POSITION = (col(Item.created_at), col(Item.id))
_AFTER = (bindparam("created_at", type_=DateTime(timezone=True)), bindparam("id", type_=Uuid))
_BEFORE_ALL = {"created_at": datetime.min.replace(tzinfo=UTC), "id": uuid.UUID(int=0)}
_CHUNK = Statement(
    select(*COLUMNS)
    .where(
        col(Item.owner_id) == bindparam("owner"),
        col(Item.deleted_at).is_(None),
        tuple_(*_POSITION) > tuple_(*_AFTER),
        col(Item.created_at) <= bindparam("until"),
    )
    .order_by(*_POSITION)
    .limit(bindparam("rows", type_=Integer))
)


async def export(
    database: StatementRunner,
    owner: uuid.UUID,
    form: ExportFormat,
    *,
    escape_formulas: bool = False,
    rows_at_once: int = ROWS_AT_ONCE,
) -> AsyncIterator[bytes]:
    """Stream the items in the order of creation, some hundred rows per chunk.

    `escape_formulas` is for CSV, see utils/spreadsheet.py.

    Each chunk is a separate statement that continues after the last row of the previous one
    (keyset), so that no connection or transaction is held while the client reads. An item that
    existed before the export and is not removed appears exactly once, as of its chunk's read; one
    that is changed or removed meanwhile may appear in either state; one that is created meanwhile
    does not appear.
    """
    if form == "csv":
        yield spreadsheet.write([NAMES])
    [began] = await database.run(_NOW, {})
    after: Mapping[str, Any] = _BEFORE_ALL
    while True:
        found = await database.run(
            _CHUNK,
            {
                "owner": owner,
                "until": began["now"],
                "rows": rows_at_once,
                "created_at": after["created_at"],
                "id": after["id"],
            },
        )
        if found:
            if form == "csv":
                cells = ([row[name] for name in NAMES] for row in found)
                yield spreadsheet.write(cells, escape=escape_formulas)
            else:
                yield _ndjson(found)
            after = found[-1]
        if len(found) < rows_at_once:
            return


def _ndjson(rows: Rows) -> bytes:
    return b"".join(orjson.dumps(dict(row), str, orjson.OPT_APPEND_NEWLINE) for row in rows)
