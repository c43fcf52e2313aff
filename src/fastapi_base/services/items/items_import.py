"""Import of items from CSV: the work of a job."""

import asyncio
import itertools
from typing import NoReturn

from pydantic import ValidationError

from fastapi_base.core.messaging.queues import Queue
from fastapi_base.schemas.items.item import (
    IMPORT_ERRORS,
    IMPORT_ROWS,
    ItemCreate,
    ItemRead,
    ItemsImport,
    ItemsImported,
    RowError,
)
from fastapi_base.services.items import items
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.errors import GiveUp
from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.utils import spreadsheet

# The file is deleted once its items are created.
IMPORT = Kind("items-import", ItemsImport, queue=Queue.BULK, private=True)
# The columns of the export: those that a new item cannot be given are ignored.
COLUMNS = frozenset(ItemRead.model_fields)
ROWS_AT_ONCE = 1000


async def run(job: JobContext, payload: ItemsImport) -> ItemsImported:
    """Create an item from each row, in one transaction.

    If some rows are invalid, nothing is created unless the caller asked for a partial import.
    Raises GiveUp for invalid CSV, a wrong header or too many rows.
    """
    assert job.owner_id
    try:
        good, errors, wrong = await asyncio.to_thread(_read, payload)
    except spreadsheet.NotCsv as error:
        raise GiveUp(str(error)) from None
    made = good if payload.partial or not wrong else []
    for done in range(0, len(made), ROWS_AT_ONCE):
        await job.progress(done, len(made), "items made")
        await items.create_many(job.session, job.owner_id, made[done : done + ROWS_AT_ONCE])
    await job.progress(len(made), len(made), "items made")
    return ItemsImported(rows=len(good) + wrong, imported=len(made), rejected=wrong, errors=errors)


def _read(payload: ItemsImport) -> tuple[list[ItemCreate], list[RowError], int]:
    """The items, the errors of invalid rows, and the number of invalid rows."""
    rows = spreadsheet.rows(payload.text, "title")
    _, header = next(rows, (1, []))
    names = [spreadsheet.column(cell) for cell in header]
    _check(names)
    good: list[ItemCreate] = []
    errors: list[RowError] = []
    wrong = 0
    for line, cells in itertools.islice(rows, IMPORT_ROWS):
        if payload.escape_formulas:
            cells = [cell and spreadsheet.unescape_formulas(cell) for cell in cells]
        found = _item(line, cells, names)
        if isinstance(found, ItemCreate):
            good.append(found)
        else:
            wrong += 1
            errors += found[: IMPORT_ERRORS - len(errors)]
    if next(rows, None) is not None:
        raise GiveUp(f"the file has more than {IMPORT_ROWS} rows; split it")
    return good, errors, wrong


def _item(line: int, cells: list[str | None], names: list[str]) -> ItemCreate | list[RowError]:
    # Spreadsheets append empty cells after the last column, and omit them from short rows.
    named = dict(zip(names, cells, strict=False))
    if any(cells[len(names) :]):
        message = f"The row has {len(cells)} fields, but the header has {len(names)}"
        return [RowError(line=line, column=None, message=message)]
    for at, (name, cell) in enumerate(zip(names, cells, strict=False), 1):
        if cell and not name:
            message = f"Field {at} is not empty, but its column has no name in the header"
            return [RowError(line=line, column=None, message=message)]
    given = {name: named.get(name) for name in ItemCreate.model_fields if name in names}
    try:
        return ItemCreate.model_validate(given)
    except ValidationError as error:
        return [
            RowError(line=line, column=str(item["loc"][0]), message=item["msg"])
            for item in error.errors()
        ]


def _check(names: list[str]) -> None:
    """Raise GiveUp for a header from which no items can be created."""
    known = [name for name in names if name]
    if "title" not in known:
        _refuse("has no column title")
    if unknown := [name for name in known if name not in COLUMNS]:
        _refuse(f"has unknown columns: {', '.join(unknown)[:100]}")
    if len(set(known)) < len(known):
        _refuse("has a duplicate column")


def _refuse(why: str) -> NoReturn:
    known = ", ".join(ItemRead.model_fields)
    raise GiveUp(
        f"the header {why}; valid columns: {known}, separated by commas, semicolons or tabs"
    )
