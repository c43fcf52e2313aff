"""A database with a pool, and an account in it."""

from collections.abc import AsyncIterator, Callable

import pytest

from fastapi_base.core.config import DatabaseSettings, Settings
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.models import User
from ops.dev.seed.factories import UserFactory


@pytest.fixture
def given(make_settings: Callable[[str], Settings], fresh_database_url: str) -> DatabaseSettings:
    """The settings of a fresh database."""
    return make_settings(fresh_database_url).database


@pytest.fixture
async def database(given: DatabaseSettings) -> AsyncIterator[EngineDatabase]:
    """A database as in the service: a pool, and the driver itself for single statements."""
    engine = create_engine(given.model_copy(update={"pool_size": 4, "pool_timeout": 20.0}))
    yield EngineDatabase.of(given, engine)
    await engine.dispose()


def user() -> User:
    """A new account, not yet stored."""
    return UserFactory.build()
