"""Run by Alembic: connects, lets one migrator in at a time, and migrates."""

import asyncio
import logging
import time

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from fastapi_base.models import metadata

log = logging.getLogger("fastapi_base.migrations")

# Any number that nobody else uses in this database.
ADVISORY_LOCK = 7_302_512_911
LOCK_PATIENCE_SECONDS = 300
LOCK_TIMEOUT = "5s"


def migrate(connection: Connection) -> None:
    """Run what Alembic's command asks for, one transaction for each migration."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def lock(connection: Connection) -> None:
    """Wait until no other migrator works on this database.

    By asking again and again: a statement that waits for the lock would hold a snapshot, and the
    other's CREATE INDEX CONCURRENTLY would wait for that snapshot for ever. The lock belongs to the
    session, so it outlasts the transactions and goes when the connection does.
    """
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
    statement = text("SELECT pg_try_advisory_lock(:key)")
    said = False
    while not connection.scalar(statement, {"key": ADVISORY_LOCK}):
        connection.rollback()
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"another migration has been running for {LOCK_PATIENCE_SECONDS} s; see"
                " pg_stat_activity for application_name 'fastapi-base-migrate'"
            )
        if not said:
            log.info("another migration is running; waiting for it")
            said = True
        time.sleep(0.2)
    # A migration that waits for a table lock makes all that come after it wait too: rather fail.
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()


async def run() -> None:
    """Connect, lock, migrate."""
    engine = create_async_engine(
        context.config.attributes["url"],
        poolclass=pool.NullPool,
        connect_args={
            "ssl": context.config.attributes["tls"],
            "server_settings": {"application_name": "fastapi-base-migrate"},
        },
    )
    async with engine.connect() as connection:
        await connection.run_sync(lock)
        await connection.run_sync(migrate)
        await connection.commit()


if context.is_offline_mode():
    context.configure(
        url=context.config.attributes["url"],
        target_metadata=metadata,
        literal_binds=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        context.run_migrations()
else:
    asyncio.run(run())
