"""A listener reconnects after each loss of the connection and reports the loss."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from fastapi_base.core.config import DatabaseSettings, Settings
from fastapi_base.core.runtime import background
from fastapi_base.db import listen as module
from fastapi_base.db.engine import create_engine
from fastapi_base.db.listen import listen
from ops.measure.chaos.proxy import Proxy
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

CHANNEL = "tests_notices"
NAME = f"listen {CHANNEL}"


@pytest.fixture
def given(make_settings: Callable[[str], Settings], fresh_database_url: str) -> DatabaseSettings:
    return make_settings(fresh_database_url).database


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.5)


async def execute(url: str, statement: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


async def end_listeners(url: str) -> None:
    await execute(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'tests-listener' AND pid <> pg_backend_pid()",
    )


@asynccontextmanager
async def listening(
    settings: DatabaseSettings, heard: Callable[[str | None], None]
) -> AsyncIterator[None]:
    engine = create_engine(settings, "tests-listener")
    task = asyncio.create_task(listen(engine, CHANNEL, heard))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await engine.dispose()


async def hears(url: str, seen: list[str | None], word: str) -> None:
    """Send the word until it is received."""

    async def told() -> bool | None:
        await execute(url, f"NOTIFY {CHANNEL}, '{word}'")
        return True if word in seen else None

    await until(told, f"{word} is received")


async def test_repeatedly_terminated_connections(
    given: DatabaseSettings, fresh_database_url: str
) -> None:
    seen: list[str | None] = []
    before = background.FAILURES.child(NAME, "expected")._value.get()
    async with listening(given, seen.append):
        await hears(fresh_database_url, seen, "first")
        ends = 12
        for number in range(ends):
            # At any moment: while connecting, subscribing or waiting.
            await asyncio.sleep(number * 0.01)
            await end_listeners(fresh_database_url)
        await hears(fresh_database_url, seen, "second")
        state = background.states()[NAME]
        assert state.failures
        assert background.FAILURES.child(NAME, "expected")._value.get() > before
        # Each loss may have missed a notification.
        assert seen.count(None) > 1

        async def well() -> bool | None:
            return background.states()[NAME].ok or None

        await until(well, "listening has recovered")


async def test_silent_network(given: DatabaseSettings, fresh_database_url: str) -> None:
    seen: list[str | None] = []
    parts = urlsplit(fresh_database_url)
    assert parts.port
    async with AsyncExitStack() as stack:
        proxy = stack.enter_context(Proxy(parts.port))
        place = parts.netloc.replace(f":{parts.port}", f":{proxy.port}")
        url = SecretStr(parts._replace(netloc=place).geturl())
        behind = given.model_copy(update={"url": url, "connect_timeout": 1.0})
        await stack.enter_async_context(listening(behind, seen.append))
        await hears(fresh_database_url, seen, "first")
        proxy.freeze()

        async def noticed() -> bool | None:
            return None if background.states()[NAME].ok else True

        await until(noticed, "the lost connection is detected")
        proxy.thaw()
        await hears(fresh_database_url, seen, "second")
        await stack.aclose()


async def test_error_of_a_callback_does_not_stop_listening(
    given: DatabaseSettings, fresh_database_url: str
) -> None:
    seen: list[str | None] = []
    before = background.FAILURES.child(NAME, "unexpected")._value.get()

    def heard(word: str | None) -> None:
        seen.append(word)
        if seen == [None]:
            raise ValueError

    async with listening(given, heard):
        await hears(fresh_database_url, seen, "a word")
    assert background.FAILURES.child(NAME, "unexpected")._value.get() == before + 1
