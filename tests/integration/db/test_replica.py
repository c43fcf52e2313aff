"""Reads go to the replica, or to the primary while the replica is down."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from fastapi_base.api.resources import open_resources
from fastapi_base.core.config import Settings
from fastapi_base.db.engine import create_engine, create_replica_engine
from fastapi_base.db.session import EngineDatabase
from tests import servers
from tests.integration.databases import clone, sibling
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio
REST = 0.3


@pytest.fixture
def second() -> Iterator[ExitStack]:
    """Stops the second server on close."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def settings(
    make_settings: Callable[[str], Settings], database_url: str, second: ExitStack
) -> Settings:
    """Two servers, distinguished by the names of their databases."""
    server = second.enter_context(servers.postgres_server())
    asyncio.run(clone(server, "replica", "template0"))
    made = make_settings(database_url)
    update = {"replica_url": SecretStr(sibling(server, "replica")), "connect_timeout": 1}
    return made.model_copy(update={"database": made.database.model_copy(update=update)})


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[EngineDatabase]:
    """Both behind one Database."""
    engine = create_engine(settings.database)
    replica = create_replica_engine(settings.database)
    assert replica is not None
    yield EngineDatabase(engine, replica, rest=REST)
    await engine.dispose()
    await replica.dispose()


async def whom(database: EngineDatabase, *, replica: bool = True) -> str:
    opened = database.read_replica() if replica else database.read()
    async with opened as connection:
        return str(await connection.scalar(text("SELECT current_database()")))


async def test_only_replica_reads_use_the_replica(database: EngineDatabase) -> None:
    assert await whom(database) == "replica"
    assert (await whom(database, replica=False)).startswith("service_")
    async with database.transaction() as session:
        name = await session.scalar(text("SELECT current_database()"))
    assert str(name).startswith("service_")


async def test_while_the_replica_is_down_the_primary_answers(
    database: EngineDatabase, second: ExitStack
) -> None:
    assert await whom(database) == "replica"
    second.close()
    # The pool still holds a connection to it, which is detected as dead before any query.
    for _ in range(3):
        assert (await whom(database)).startswith("service_")


async def test_failed_replica_is_tried_again_later(
    database: EngineDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(database, "_replica", SimpleNamespace(connect=_refuse))
        assert (await whom(database)).startswith("service_")
    assert (await whom(database)).startswith("service_")

    async def back() -> bool | None:
        return await whom(database) == "replica" or None

    await until(back, "the replica is read again", 10 * REST)


def _refuse() -> None:
    raise ConnectionRefusedError


async def test_statement_error_does_not_mark_the_replica_as_down(
    database: EngineDatabase,
) -> None:
    with pytest.raises(ProgrammingError):
        async with database.read_replica() as connection:
            await connection.execute(text("SELECT nonsense"))
    assert await whom(database) == "replica"


async def test_api_uses_the_configured_replica(settings: Settings) -> None:
    async with open_resources(settings) as resources:
        assert isinstance(resources.database, EngineDatabase)
        assert await whom(resources.database) == "replica"
    without = settings.model_copy(
        update={"database": settings.database.model_copy(update={"replica_url": None})}
    )
    async with open_resources(without) as resources:
        assert isinstance(resources.database, EngineDatabase)
        assert (await whom(resources.database)).startswith("service_")
