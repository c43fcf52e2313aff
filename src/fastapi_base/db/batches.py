"""Removal of many rows in short transactions."""

from sqlalchemy import ColumnElement, delete, inspect, select, tuple_
from sqlmodel import SQLModel

from fastapi_base.db.session import Database

# Rows per transaction: locks stay short, no statement reaches the statement timeout, and earlier
# batches persist if a later one fails.
BATCH = 1000


async def remove(
    database: Database, table: type[SQLModel], which: ColumnElement[bool], batch: int = BATCH
) -> int:
    """Remove the rows that match. Returns their number.

    Idempotent and safe to run concurrently: rows that another transaction holds are skipped.
    """
    keys = inspect(table).primary_key
    key = keys[0] if len(keys) == 1 else tuple_(*keys)
    some = select(*keys).where(which).limit(batch).with_for_update(skip_locked=True)
    statement = delete(table).where(key.in_(some))
    total = 0
    while True:
        async with database.transaction() as session:
            connection = await session.connection()
            gone = (await connection.execute(statement)).rowcount
        total += gone
        if gone < batch:
            return total
