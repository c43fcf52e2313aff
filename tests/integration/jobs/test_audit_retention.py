"""Old audit events are removed; no other event can be."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.core.config.data import AuditSettings
from fastapi_base.db.failures import sqlstate
from fastapi_base.db.session import EngineDatabase
from fastapi_base.models import AuditEvent
from fastapi_base.services.privacy.purge import purge

pytestmark = pytest.mark.anyio


async def add_events(database: EngineDatabase) -> None:
    """Two events each of several ages in days, which are their names."""
    now = datetime.now(UTC)
    async with database.transaction() as session:
        for days in (0, 29, 31, 40, 364, 366):
            for _ in range(2):
                values = {"action": str(days), "occurred_at": now - timedelta(days=days)}
                await session.exec(insert(AuditEvent).values(values))


async def ages(database: EngineDatabase) -> set[int]:
    async with database.read() as connection:
        return {int(name) for name in await connection.scalars(select(col(AuditEvent.action)))}


@pytest.mark.parametrize(
    ("keep", "gone", "left"),
    [
        (None, 2, {0, 29, 31, 40, 364}),
        (30, 8, {0, 29}),
        (0, 0, {0, 29, 31, 40, 364, 366}),
    ],
)
async def test_events_older_than_the_retention_are_removed(
    database: EngineDatabase, settings: Settings, keep: int | None, gone: int, left: set[int]
) -> None:
    await add_events(database)
    audit = AuditSettings() if keep is None else AuditSettings(keep_days=keep)
    counts = await purge(database, settings.model_copy(update={"audit": audit}), batch=3)
    assert counts.get("audit_events", 0) == gone
    assert await ages(database) == left


@pytest.mark.parametrize("days", [-1, 1, 29])
def test_retention_that_the_database_would_refuse_fails_at_boot(days: int) -> None:
    with pytest.raises(ValueError, match="keep_days"):
        AuditSettings(keep_days=days)


async def test_recent_events_cannot_be_removed_even_among_old_ones(
    database: EngineDatabase,
) -> None:
    await add_events(database)

    async def remove(statement: str) -> None:
        async with database.transaction() as session:
            connection = await session.connection()
            await connection.execute(text(statement))

    for statement in (
        "DELETE FROM audit_events",
        "DELETE FROM audit_events WHERE action IN ('366', '29')",
        "TRUNCATE audit_events",
    ):
        with pytest.raises(DBAPIError) as raised:
            await remove(statement)
        assert sqlstate(raised.value) == "42501"
    assert await ages(database) == {0, 29, 31, 40, 364, 366}


async def test_removal_blocks_no_other_statement(database: EngineDatabase) -> None:
    await add_events(database)
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.execute(delete(AuditEvent).where(col(AuditEvent.action) == "366"))
        locks = await connection.scalars(
            text("""
                SELECT mode FROM pg_locks
                WHERE relation = 'audit_events'::regclass AND pid = pg_backend_pid()
            """)
        )
        # Reading, adding and changing continue alongside.
        assert set(locks) == {"RowExclusiveLock"}
