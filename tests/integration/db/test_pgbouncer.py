"""Many clients share two connections, through a real PgBouncer in transaction mode."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import text

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Overloaded, Unavailable
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase, check
from fastapi_base.main import create_app
from tests.calling import calling
from tests.integration.accounts import new_user
from tests.integration.jobs.steps import add, effects, run
from tests.pgbouncer import pgbouncer

pytestmark = pytest.mark.anyio
CONNECTIONS = 2


@pytest.fixture
def bouncer_url(fresh_database_url: str) -> Iterator[str]:
    with pgbouncer(fresh_database_url, CONNECTIONS) as url:
        yield url


@pytest.fixture
def settings(make_settings: Callable[[str], Settings], bouncer_url: str) -> Settings:
    made = make_settings(bouncer_url)
    return made.model_copy(
        update={"database": made.database.model_copy(update={"pgbouncer": True})}
    )


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[EngineDatabase]:
    engine = create_engine(settings.database)
    yield EngineDatabase(engine, autocommit=False)
    await engine.dispose()


async def test_many_clients_share_few_connections(database: EngineDatabase) -> None:
    pids: set[int] = set()

    async def work(number: int) -> None:
        for step in range(10):
            wanted = number * 100 + step
            # Different statements, some with types that the driver has to look up.
            query = text(
                f"SELECT pg_backend_pid(), CAST(:wanted AS int), '{{\"a\": {step}}}'::jsonb"
            )
            async with database.read() as connection:
                pid, got, document = (await connection.execute(query, {"wanted": wanted})).one()
                assert (got, document) == (wanted, {"a": step})
                pids.add(pid)
            async with database.transaction() as session:
                session_connection = await session.connection()
                again = await session_connection.execute(query, {"wanted": wanted})
                assert again.one()[1] == wanted

    await asyncio.gather(*(work(number) for number in range(20)))
    assert 1 <= len(pids) <= CONNECTIONS


async def test_time_limits_apply_in_each_transaction(database: EngineDatabase) -> None:
    async def limits() -> list[str]:
        async with database.read() as connection:
            names = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]
            return [str(await connection.scalar(text(f"SHOW {name}"))) for name in names]

    assert await limits() == ["15s", "5s", "30s"]
    async with database.transaction() as session:
        assert str(await session.scalar(text("SHOW statement_timeout"))) == "15s"


async def test_slow_statement_is_cancelled(settings: Settings) -> None:
    hasty = settings.database.model_copy(update={"statement_timeout": 0.2})
    engine = create_engine(hasty)
    with pytest.raises((Overloaded, Unavailable)):
        async with EngineDatabase(engine, autocommit=False).read() as connection:
            await connection.execute(text("SELECT pg_sleep(20)"))
    await engine.dispose()


async def test_the_whole_api_works(settings: Settings, redis: Redis) -> None:
    app = create_app(settings)
    async with calling(app) as client:
        headers = [await new_user(client, f"user{n}@example.com") for n in range(4)]
        replies = await asyncio.gather(
            *(client.get("/api/v1/users/me", headers=h) for h in headers for _ in range(10))
        )
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.json()["email"] for reply in replies}) == 4


async def test_jobs_take_effect_once(database: EngineDatabase, settings: Settings) -> None:
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.execute(text("CREATE TABLE effects (job uuid, note text)"))
    job = await add(database)
    assert await run(database, settings, job.id) == "succeeded"
    assert await run(database, settings, job.id) == "nothing to do"
    assert await effects(database) == ["x"]


async def test_fails_without_the_setting(bouncer_url: str, settings: Settings) -> None:
    plain = settings.database.model_copy(update={"pgbouncer": False})
    engine = create_engine(plain.model_copy(update={"url": SecretStr(bouncer_url)}))
    with pytest.raises(Unavailable) as caught:
        await check(EngineDatabase(engine))
    assert "startup parameter" in str(caught.value.__cause__)
    await engine.dispose()
