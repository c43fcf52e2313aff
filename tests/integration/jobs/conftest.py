"""A database with real commits, with a table whose rows are the effects of jobs."""

from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from fastapi_base.core.config import Settings
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.main import create_app
from tests.calling import calling


@pytest.fixture
def settings(make_settings: Callable[[str], Settings], fresh_database_url: str) -> Settings:
    """Settings for the test's own database."""
    return make_settings(fresh_database_url)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[EngineDatabase]:
    """The database. No constraint prevents two rows of one job in `effects`."""
    engine = create_engine(settings.database)
    opened = EngineDatabase.of(settings.database, engine)
    async with opened.transaction() as session:
        connection = await session.connection()
        await connection.execute(text("CREATE TABLE effects (job uuid, note text)"))
    yield opened
    await engine.dispose()


@pytest.fixture
async def client(settings: Settings, redis: Redis) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application that commits to the database."""
    app = create_app(settings)
    async with calling(app) as opened:
        yield opened
