"""Compiled statements that the driver runs directly: one round trip, the usual errors."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from asyncpg.exceptions import CheckViolationError
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from sqlalchemy import bindparam, func, insert, literal, select, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import EmailTaken, Overloaded, Unavailable
from fastapi_base.core.ids import uuid7
from fastapi_base.core.observability import tracing
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.models import User
from fastapi_base.models.flags.flag import FlagOverride
from fastapi_base.utils.statements import InSession, Statement
from tests.integration.databases import sleeps

pytestmark = pytest.mark.anyio

ADD = Statement(
    insert(User).returning(col(User.email), col(User.is_active)),
    columns=("id", "email", "password_hash", "created_at", "updated_at"),
)
COUNT = Statement(select(func.count().label("count")).select_from(User))
SLEEP = Statement(select(func.pg_sleep(bindparam("seconds"))))
DIVIDE = Statement(select((literal(1) / bindparam("by")).label("result")))


Make = Callable[..., EngineDatabase]


@pytest.fixture(params=[True, False], ids=["direct", "by SQLAlchemy"])
async def make(
    request: pytest.FixtureRequest,
    make_settings: Callable[[str], Settings],
    fresh_database_url: str,
) -> AsyncIterator[Make]:
    """Creates a database whose pool has one connection, with these settings."""
    engines = []

    def one(**given: float) -> EngineDatabase:
        settings = make_settings(fresh_database_url).database
        engines.append(create_engine(settings.model_copy(update={"pool_size": 1, **given})))
        return EngineDatabase(engines[-1], direct=request.param)

    yield one
    for engine in engines:
        await engine.dispose()


@pytest.fixture
def database(make: Make) -> EngineDatabase:
    return make()


def ada(**other: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    made = {"id": uuid7(), "password_hash": "x", "created_at": now, "updated_at": now}
    return {"email": "ada@example.com", **made, **other}


async def users(database: EngineDatabase) -> int:
    return int((await database.run(COUNT, {}))[0]["count"])


async def test_rows_have_named_columns_and_scalar_defaults_are_applied(
    database: EngineDatabase,
) -> None:
    assert await database.run(ADD, ada()) == [{"email": "ada@example.com", "is_active": True}]
    assert await users(database) == 1


async def test_errors_are_domain_errors(database: EngineDatabase) -> None:
    await database.run(ADD, ada())
    with pytest.raises(EmailTaken):
        await database.run(ADD, ada())
    with pytest.raises((IntegrityError, CheckViolationError), match="email_lower"):
        await database.run(ADD, ada(email="UPPER@example.com"))
    assert await users(database) == 1


async def test_slow_statement_is_overloaded(make: Make) -> None:
    with pytest.raises(Overloaded, match="took too long"):
        await make(statement_timeout=0.5).run(SLEEP, {"seconds": 20.0})


async def test_programming_error_propagates_and_the_connection_stays_usable(
    database: EngineDatabase,
) -> None:
    with pytest.raises(Exception, match="division by zero"):
        await database.run(DIVIDE, {"by": 0})
    assert await database.run(DIVIDE, {"by": 4}) == [{"result": Decimal("0.25")}]


async def test_cancelled_statement_leaves_no_broken_connection_in_the_pool(
    make: Make, fresh_database_url: str
) -> None:
    database = make(statement_timeout=60)
    running = asyncio.create_task(database.run(SLEEP, {"seconds": 60.0}))
    await sleeps(fresh_database_url)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    # The pool has one connection, which does not wait for the end of the statement.
    async with asyncio.timeout(30):
        assert await users(database) == 0


async def test_lost_connection_is_not_reused(database: EngineDatabase) -> None:
    end = Statement(select(func.pg_terminate_backend(func.pg_backend_pid())))
    with pytest.raises(Unavailable):
        await database.run(end, {})
    assert await users(database) == 0


async def test_exhausted_pool_is_overloaded(make: Make) -> None:
    database = make(pool_timeout=0.2)
    async with database.read():
        with pytest.raises(Overloaded, match="connections are in use"):
            await users(database)


@pytest.mark.parametrize("make", [True], indirect=True, ids=["direct"])
async def test_migration_does_not_break_a_prepared_statement(database: EngineDatabase) -> None:
    every = Statement(select(col(User.email), col(User.display_name)))
    assert await database.run(every, {}) == []
    async with database.transaction() as session:
        await session.exec(text("ALTER TABLE users ALTER display_name TYPE text"))  # type: ignore[call-overload]
    await database.run(ADD, ada())
    assert await database.run(every, {}) == [{"email": "ada@example.com", "display_name": None}]


async def test_custom_types_are_converted_both_ways(
    database: EngineDatabase,
) -> None:
    value = {"share": [1, 2.5, None]}
    columns = (col(FlagOverride.name), col(FlagOverride.value))
    add = Statement(insert(FlagOverride).returning(*columns), columns=("name", "value", "user_ids"))
    expected = [{"name": "a-flag", "value": value}]
    assert await database.run(add, {"name": "a-flag", "value": value, "user_ids": []}) == expected
    assert await database.run(Statement(select(*columns)), {}) == expected


async def test_statement_in_a_session_joins_its_transaction(database: EngineDatabase) -> None:
    async def fail() -> None:
        async with database.transaction() as session:
            assert await InSession(session).run(ADD, ada())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await users(database) == 0


async def test_missing_parameter_is_named(database: EngineDatabase) -> None:
    with pytest.raises(Exception, match="by"):
        await database.run(DIVIDE, {})


def test_per_row_defaults_must_be_given() -> None:
    with pytest.raises(TypeError, match=r"users\.id has a default that is computed for each row"):
        Statement(insert(User), columns=("email",)).arguments({"email": "ada@example.com"})


async def test_spans_match_those_of_other_statements(
    monkeypatch: pytest.MonkeyPatch,
    make_settings: Callable[[str], Settings],
    fresh_database_url: str,
) -> None:
    seen = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(seen))
    monkeypatch.setattr(tracing, "_provider", provider)
    settings = make_settings(fresh_database_url).database
    engine = create_engine(settings)
    told = []
    for direct in (True, False):
        database = EngineDatabase(engine, direct=direct)
        await database.run(COUNT, {})
        with pytest.raises(Exception, match="division by zero"):
            await database.run(DIVIDE, {"by": 0})
        told.append([(s.name, s.kind, s.status.status_code) for s in seen.get_finished_spans()])
        assert COUNT.text in [
            s.attributes and s.attributes["db.query.text"] for s in seen.get_finished_spans()
        ]
        seen.clear()
    await engine.dispose()
    assert told[0] == told[1][-2:]
    assert [status for _, _, status in told[0]] == [StatusCode.UNSET, StatusCode.ERROR]
