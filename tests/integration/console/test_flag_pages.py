"""The pages of feature flags. Their changes are committed, so each test has its own database."""

import uuid
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from fastapi_base.core.config import Settings
from fastapi_base.core.config.console import ConsoleSettings
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.main import create_app
from tests.calling import calling
from tests.integration.accounts import actions
from tests.integration.console.visiting import Visitor

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(make_settings: Callable[[str], Settings], fresh_database_url: str) -> Settings:
    """Settings for the test's own database."""
    console = ConsoleSettings(path="/console")
    return make_settings(fresh_database_url).model_copy(update={"console": console})


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[EngineDatabase]:
    """The database."""
    engine = create_engine(settings.database)
    yield EngineDatabase.of(settings.database, engine)
    await engine.dispose()


@pytest.fixture
def app(settings: Settings, redis: Redis) -> FastAPI:
    """An application that commits."""
    return create_app(settings)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application."""
    async with calling(app) as opened:
        yield opened


async def test_flags_are_overridden_and_reset(
    operator: Visitor, app: FastAPI, database: EngineDatabase
) -> None:
    await operator.open("/flags")
    await operator.follow("word-count")
    reply = await operator.send("Override in all", value="maybe")
    assert reply.status_code == 422
    await operator.open("/flags/word-count")
    reply = await operator.send("Override in all", value="false", accounts="ada")
    assert reply.status_code == 422
    await operator.open("/flags/word-count")
    # An empty percentage is not all accounts.
    reply = await operator.send("Override in all", value="false", percentage="")
    assert reply.status_code == 422
    await operator.open("/flags/word-count")
    one = str(uuid.uuid4())
    await operator.send("Override in all", value="false", percentage="12.5", accounts=one)
    assert "12.5 % and 1 named accounts" in operator.text
    assert app.state.resources.flags.read()[1].override.percentage == 12.5
    await operator.open("/flags/word-count")
    await operator.send("Remove the override")
    assert app.state.resources.flags.read()[1].override is None
    assert (await actions(database)).count("feature-flag.changed") == 2


async def test_read_only_mode_rejects_changes_and_can_be_switched_off(
    operator: Visitor,
) -> None:
    await operator.open("/flags/read-only")
    await operator.send("Override in all", value="true")
    await operator.open("/schedules")
    reply = await operator.post("/schedules/statistics/pause")
    assert reply.status_code == 503
    assert "read-only" in operator.text
    await operator.open("/flags/read-only")
    await operator.send("Remove the override")
    assert operator.reply.status_code == 200
