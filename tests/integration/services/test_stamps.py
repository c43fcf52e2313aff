"""Stamps: each commit gives a new one, and concurrent transactions do not block each other."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import text

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import NotFound
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services import stamps
from fastapi_base.utils.cache import Stamp

pytestmark = pytest.mark.anyio

HERE, THERE = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.fixture
async def database(
    make_settings: Callable[[str], Settings], fresh_database_url: str
) -> AsyncIterator[EngineDatabase]:
    """A real database, with commits."""
    engine = create_engine(make_settings(fresh_database_url).database)
    yield EngineDatabase(engine)
    await engine.dispose()


async def test_commits_change_the_stamp_and_rollbacks_do_not(
    database: EngineDatabase,
) -> None:
    seen: list[Stamp] = [await stamps.shared(database, HERE)]
    assert seen == [None]
    for _ in range(5):
        async with database.transaction() as session:
            await stamps.change(session, HERE)
            assert await stamps.shared(database, HERE) == seen[-1]
        seen.append(await stamps.shared(database, HERE))
    assert len(set(seen)) == 6
    async with database.transaction() as session:
        await stamps.change(session, HERE)
        await session.rollback()
    assert await stamps.shared(database, HERE) == seen[-1]
    assert await stamps.shared(database, THERE) is None


async def test_concurrent_changes_of_a_scope_do_not_block_each_other(
    database: EngineDatabase,
) -> None:
    seen: list[Stamp] = []
    for _ in range(3):
        async with asyncio.timeout(30), database.transaction() as slow:
            await stamps.change(slow, HERE)
            for _ in range(2):
                async with database.transaction() as quick:
                    # Much shorter than the block that holds its row.
                    await (await quick.connection()).execute(text("SET LOCAL lock_timeout = '1ms'"))
                    await stamps.change(quick, HERE)
                seen.append(await stamps.shared(database, HERE))
        seen.append(await stamps.shared(database, HERE))
    assert len(set(seen)) == 9
    async with database.read() as connection:
        rows = await connection.scalar(text("SELECT count(*) FROM cache_stamps"))
    assert rows == 2, "as many as there were transactions at once"


async def test_combined_stamp_changes_with_each_scope(
    database: EngineDatabase,
) -> None:
    seen: list[Stamp] = []
    for scope in (HERE, THERE, HERE):
        async with database.transaction() as session:
            await stamps.change(session, scope)
        seen.append(await stamps.shared(database, HERE, THERE))
    assert len({None, *seen}) == 4


async def test_unknown_account_has_no_stamp(database: EngineDatabase) -> None:
    with pytest.raises(NotFound):
        await stamps.of_account(database, HERE)
