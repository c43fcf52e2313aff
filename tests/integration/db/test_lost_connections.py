"""A failed connection is not used again."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from pydantic import SecretStr
from sqlalchemy import NullPool, bindparam, func, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from fastapi_base.core.config import Settings
from fastapi_base.core.config.observability import SentrySettings
from fastapi_base.core.errors import Unavailable
from fastapi_base.core.observability import reporting
from fastapi_base.db.failures import translated
from fastapi_base.db.session import EngineDatabase
from fastapi_base.models import User
from fastapi_base.utils.statements import Statement
from ops.measure.bench.collector import receiving
from tests.integration.databases import sleeps
from tests.integration.db import pools
from tests.integration.db.pools import user
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio
given = pools.given
database = pools.database
NOW = Statement(select(func.now().label("now")))
SLEEP = Statement(select(func.pg_sleep(bindparam("seconds"))))


async def kill_all(url: str, *, idle: bool = False) -> int:
    """End the sessions of the service's pool and return their number."""
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    only = "AND state = 'idle'" if idle else ""
    # Idle sessions end at once: wait for them, and so for their last messages.
    milliseconds = 5000 if idle else 0
    async with engine.connect() as connection:
        ended = await connection.scalars(
            text(
                f"SELECT pg_terminate_backend(pid, {milliseconds}) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                f" AND application_name = 'fastapi-base' {only}"
            )
        )
        return len(ended.all())


async def test_connections_ended_while_idle_fail_no_request(
    database: EngineDatabase, fresh_database_url: str
) -> None:
    drivers = set()

    async def read() -> None:
        async with database.read() as connection:
            drivers.add((await connection.get_raw_connection()).driver_connection)
            await connection.scalar(text("SELECT pg_sleep(0.05)"))

    async def all_closed() -> bool | None:
        return all(driver and driver.is_closed() for driver in drivers) or None

    for _ in range(3):
        await asyncio.gather(*(read() for _ in range(4)))
        assert await kill_all(fresh_database_url, idle=True)
        await until(all_closed, "the server's messages have arrived")
        await database.run(NOW, {})
        await asyncio.gather(*(read() for _ in range(4)))


async def test_connections_ended_under_load_cause_only_unavailable(
    database: EngineDatabase, fresh_database_url: str
) -> None:
    """Each request succeeds or is told to retry: no other error, and no write happens twice."""
    ended = asyncio.Event()
    seen: Counter[tuple[str, str]] = Counter()

    async def write() -> None:
        async with database.transaction() as session:
            connection = await session.connection()
            await connection.execute(text("SELECT pg_sleep(0.002)"))
            session.add(user())
            await session.flush()
            await connection.execute(text("SELECT generate_series(1, 2000)"))

    async def read() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT generate_series(1, 2000)"))

    async def run() -> None:
        await database.run(SLEEP, {"seconds": 0.002})

    async def load(work: Callable[[], Awaitable[None]]) -> None:
        while not ended.is_set():
            try:
                await work()
                outcome = "done"
            except Unavailable:
                outcome = "unavailable"
            except Exception as error:
                outcome = repr(error)
            seen[work.__name__, outcome] += 1
            # An immediate retry takes the connection ahead of those already waiting.
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(load(work)) for work in (write, read, run) for _ in range(4)]
    for _ in range(60):
        await kill_all(fresh_database_url)
        await asyncio.sleep(0.02)
    ended.set()
    await asyncio.gather(*tasks)
    assert {outcome for _, outcome in seen} == {"done", "unavailable"}, seen
    # The pool has lost no slot, and each connection works.
    await asyncio.gather(*(read() for _ in range(20)), *(run() for _ in range(20)))
    async with asyncio.timeout(20):
        rows = await database.run(Statement(select(func.count().label("n")).select_from(User)), {})
    done, perhaps = seen["write", "done"], seen["write", "unavailable"]
    assert done <= rows[0]["n"] <= done + perhaps


async def test_connection_used_concurrently_is_discarded_and_reported(
    database: EngineDatabase, fresh_database_url: str, settings: Settings
) -> None:
    with receiving() as received:
        sentry = SentrySettings(dsn=SecretStr(received.dsn))
        assert reporting.start(settings.model_copy(update={"sentry": sentry}))
        try:
            await lose_connection(database)
            await use_concurrently(database, fresh_database_url)
        finally:
            await asyncio.to_thread(reporting.stop)
    await database.run(NOW, {})
    (event,) = received.events
    raised = event["exception"]["values"][-1]
    assert "another operation is in progress" in raised["value"]
    functions = {frame["function"] for frame in raised["stacktrace"]["frames"]}
    assert "use_concurrently" in functions


async def lose_connection(database: EngineDatabase) -> None:
    """An outage, which is no bug of this program: the driver raises errors of the same type."""
    async with database.read() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        raw.driver_connection.terminate()
        with pytest.raises(Unavailable, match="does not answer"):
            async with translated():
                await connection.execute(text("SELECT 1"))


async def use_concurrently(database: EngineDatabase, fresh_database_url: str) -> None:
    async with database.read() as connection:
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        assert driver is not None
        busy = asyncio.create_task(driver.fetchval("SELECT pg_sleep(20)"))
        await sleeps(fresh_database_url)
        with pytest.raises(Unavailable, match="does not answer"):
            async with translated():
                await connection.execute(text("SELECT 1"))
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)
    assert driver.is_closed()
