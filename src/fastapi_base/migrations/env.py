"""Run by Alembic: connects, acquires a lock against concurrent migrations, and migrates."""

import asyncio
import logging
import time

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from fastapi_base.core.config import load_settings
from fastapi_base.migrations import runner
from fastapi_base.migrations.runner import connection_attributes
from fastapi_base.models import metadata

log = logging.getLogger("fastapi_base.migrations")

LOCK_TIMEOUT = "5s"


def migrate(connection: Connection) -> None:
    """Run the requested Alembic command, with one transaction per migration."""
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
    """Wait until no other migration runs on this database. Raises MigrationRunning after 300 s.

    It polls: a statement that waits for the lock would hold a snapshot, and CREATE INDEX
    CONCURRENTLY in the other migration would wait for that snapshot indefinitely. The lock belongs
    to the session, so it outlives transactions and is released with the connection.
    """
    deadline = time.monotonic() + runner.LOCK_PATIENCE_SECONDS
    statement = text("SELECT pg_try_advisory_lock(:key)")
    said = False
    while not connection.scalar(statement, {"key": runner.ADVISORY_LOCK}):
        connection.rollback()
        if time.monotonic() > deadline:
            raise runner.MigrationRunning(
                f"another migration has been running for {runner.LOCK_PATIENCE_SECONDS:g} s; see"
                " pg_stat_activity for application_name 'fastapi-base-migrate'"
            )
        if not said:
            log.info("another migration is running; waiting for it")
            said = True
        time.sleep(0.2)
    # A migration that waits for a table lock blocks all later queries; it is better to fail.
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()


async def run() -> None:
    """Connect, acquire the lock, and migrate."""
    arguments = context.config.attributes["arguments"]
    server = {"application_name": "fastapi-base-migrate", **arguments["server_settings"]}
    engine = create_async_engine(
        context.config.attributes["url"],
        poolclass=pool.NullPool,
        connect_args={**arguments, "server_settings": server},
    )
    async with engine.connect() as connection:
        await connection.run_sync(lock)
        await connection.run_sync(migrate)
        await connection.commit()


if "url" not in context.config.attributes:
    # Started by `alembic` with alembic.ini: connect like the service.
    settings = load_settings()
    context.config.attributes.update(connection_attributes(settings.database, settings.tls))
    logging.basicConfig(level=logging.INFO, format="%(message)s")

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
