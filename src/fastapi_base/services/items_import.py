"""Items out of CSV: the work of a job."""

import asyncio
import csv
import io
import itertools
from collections.abc import Iterator
from typing import NoReturn

from pydantic import ValidationError

from fastapi_base.core.queues import Queue
from fastapi_base.schemas.item import (
    IMPORT_ERRORS,
    IMPORT_ROWS,
    ItemCreate,
    ItemRead,
    ItemsImport,
    ItemsImported,
    RowError,
)
from fastapi_base.services import items
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.errors import GiveUp
from fastapi_base.services.jobs.kinds import Kind

# The file is dropped when its items are made.
IMPORT = Kind("items-import", ItemsImport, queue=Queue.BULK, private=True)
# Those of the export: what a new item is not given is read over.
COLUMNS = frozenset(ItemRead.model_fields)
ROWS_AT_ONCE = 1000
# A row: the line on which it begins, and its fields; None is a field without anything, not even "".
Row = tuple[int, list[str | None]]


async def run(job: JobContext, payload: ItemsImport) -> ItemsImported:
    """Make an item of each row, in one transaction.

    Where some rows are wrong, none is made unless the caller wants the others. Raises GiveUp for
    what is no CSV, has a wrong header, or too many rows.
    """
    assert job.owner_id
    good, errors, wrong = await asyncio.to_thread(_read, payload.text)
    made = good if payload.partial or not wrong else []
    for done in range(0, len(made), ROWS_AT_ONCE):
        await job.progress(done, len(made), "items made")
        await items.create_many(job.session, job.owner_id, made[done : done + ROWS_AT_ONCE])
    await job.progress(len(made), len(made), "items made")
    return ItemsImported(
        rows=len(good) + wrong, imported=len(made), rejected=wrong, errors=errors[:IMPORT_ERRORS]
    )


def _read(text: str) -> tuple[list[ItemCreate], list[RowError], int]:
    """The items, what is wrong with the other rows, and how many those are."""
    rows = _rows(text)
    _, header = next(rows, (1, []))
    places = _places(header)
    good: list[ItemCreate] = []
    errors: list[RowError] = []
    wrong = 0
    for line, fields in itertools.islice(rows, IMPORT_ROWS):
        found = _item(line, fields, len(header), places)
        if isinstance(found, ItemCreate):
            good.append(found)
        else:
            wrong += 1
            errors += found
    if next(rows, None) is not None:
        raise GiveUp(f"there are more than {IMPORT_ROWS} rows; send them in several files")
    return good, errors, wrong


def _item(
    line: int, fields: list[str | None], width: int, places: dict[str, int]
) -> ItemCreate | list[RowError]:
    if len(fields) != width:
        message = f"The row has {len(fields)} fields, the header {width}"
        return [RowError(line=line, column=None, message=message)]
    try:
        return ItemCreate.model_validate({name: fields[at] for name, at in places.items()})
    except ValidationError as error:
        return [
            RowError(line=line, column=str(item["loc"][0]), message=item["msg"])
            for item in error.errors()
        ]


def _rows(text: str) -> Iterator[Row]:
    """All rows that are not empty. Raises GiveUp where quotes are not as RFC 4180 has them."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, quoting=csv.QUOTE_NOTNULL)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise GiveUp(f"line {line}: this is not CSV: {error}") from None
        if fields is None:
            return
        if fields:
            yield line, list(fields)


def _places(header: list[str | None]) -> dict[str, int]:
    """Where the columns are that a new item is made of."""
    if "title" not in header:
        _refuse("has no column title")
    if unknown := [name for name in header if name not in COLUMNS]:
        _refuse(f"has columns that are not known: {', '.join(map(str, unknown))[:100]}")
    if len(set(header)) < len(header):
        _refuse("has a column twice")
    return {name: header.index(name) for name in ItemCreate.model_fields if name in header}


def _refuse(why: str) -> NoReturn:
    known = ", ".join(ItemRead.model_fields)
    raise GiveUp(f"the header {why}; columns are {known}, separated by commas")
