"""Writes the rows of a seed into a database, in one transaction."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice

import asyncpg
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from fastapi_base.core.security.passwords import hash_password
from fastapi_base.models import metadata
from ops.dev.seed import rows
from ops.dev.seed.dice import Dice, Row

#: The password of every account.
PASSPHRASE = "correct horse battery staple"
_ROUNDS = 10
_CHUNK = 20_000


class AlreadyThereError(RuntimeError):
    """The database has this seed; the message says how many of its accounts."""


async def fill(url: str, total: int, seed: int, progress: Callable[[str], None]) -> dict[str, int]:
    """Add ``total`` rows, all or none; returns how many each table got.

    ``url`` is one of SQLAlchemy's, ``progress`` gets a sentence every second. Times count back from
    the last midnight in UTC, so a seed gives the same rows for a day, except for the salt of the
    password. Raises AlreadyThereError, OSError and asyncpg.PostgresError.
    """
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    dice = Dice(seed, midnight)
    parts = rows.tables(hash_password(PASSPHRASE, _ROUNDS))
    counts = rows.counts(total, parts)
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        assert isinstance(driver, asyncpg.Connection)
        there = await driver.fetchval(
            "SELECT count(*) FROM users WHERE email LIKE $1", f"%.{seed}-%@example.com"
        )
        if there:
            raise AlreadyThereError(f"SEED={seed} is already there, with {there} accounts")
        done = 0
        for name, part in parts.items():
            made = part.rows(dice, counts[name])
            for chunk in _chunks(made):
                await driver.copy_records_to_table(name, records=chunk, columns=part.columns)
                done += len(chunk)
                progress(f"{done} of {total} rows: {name}")
        for name, row in rows.small(dice):
            insert = postgresql.insert(metadata.tables[name]).values(row)
            await connection.execute(insert.on_conflict_do_nothing())
    async with engine.connect() as connection:
        # So that PostgreSQL plans for the new rows at once.
        await connection.exec_driver_sql(f"ANALYZE {', '.join(parts)}")
    return counts


async def first(url: str, seed: int) -> str:
    """The e-mail address of the first account of a seed."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        found = await connection.exec_driver_sql(
            "SELECT email FROM users WHERE email LIKE $1", (f"%.{seed}-0@example.com",)
        )
        return str(found.scalar_one())


def _chunks(made: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(made, _CHUNK)):
        yield chunk


def every_second(say: Callable[[str], None]) -> Callable[[str], None]:
    """Passes on at most one sentence a second."""
    last = 0.0

    def sometimes(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= 1:
            last = time.monotonic()
            say(text)

    return sometimes
