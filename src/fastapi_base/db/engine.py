"""The engine and its pool."""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from fastapi_base.core.config import DatabaseSettings
from fastapi_base.core.tls import database_tls
from fastapi_base.db import comments, tracing


def create_engine(settings: DatabaseSettings, name: str = "fastapi-base") -> AsyncEngine:
    """An engine whose every connection has time limits. Connects on first use.

    By default the pool does not grow beyond `pool_size`: PostgreSQL's connections are few, and
    waiting in line for one costs less than opening one.
    """
    return _create(settings, settings.url, name)


def create_replica_engine(
    settings: DatabaseSettings, name: str = "fastapi-base"
) -> AsyncEngine | None:
    """The engine of the replica, when one is set. It looks at a connection before it hands it out.

    The extra round trip buys that the fall back to the primary is decided before the first
    statement runs.
    """
    if settings.replica_url is None:
        return None
    return _create(settings, settings.replica_url, name, pool_pre_ping=True)


def _create(
    settings: DatabaseSettings, url: SecretStr, name: str, *, pool_pre_ping: bool = False
) -> AsyncEngine:
    limits = _limits(settings)
    driver: dict[str, Any] = {"timeout": settings.connect_timeout, "ssl": database_tls(settings)}
    if settings.pgbouncer:
        # PgBouncer knows no such parameters at start: the client watches the time too, and
        # _behind_pgbouncer sets the limits in each transaction.
        driver |= {
            "command_timeout": settings.statement_timeout,
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": _no_name,
        }
    else:
        driver |= {
            # A statement with the name of its request never comes again.
            "prepared_statement_cache_size": 0
            if settings.sql_comments
            else settings.statement_cache_size,
            "server_settings": {"application_name": name, **limits},
        }
    engine = create_async_engine(
        url.get_secret_value(),
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
        pool_timeout=settings.pool_timeout,
        pool_recycle=settings.pool_recycle,
        pool_use_lifo=True,
        pool_pre_ping=pool_pre_ping,
        connect_args=driver,
    )
    if settings.pgbouncer:
        _behind_pgbouncer(engine, limits)
    if settings.sql_comments:
        comments.install(engine)
    tracing.install(engine)
    return engine


def _no_name() -> str:
    # The unnamed statement: no name of one client can meet that of another on a shared connection.
    return ""


def _behind_pgbouncer(engine: AsyncEngine, limits: dict[str, str]) -> None:
    """Make up for connections that change from one transaction to the next.

    asyncpg prepares a statement and runs it in two steps, which must meet the same connection:
    everything happens inside transactions, the set-up of a connection too.
    """
    settings = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in limits.items())

    @event.listens_for(engine.sync_engine, "begin")
    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT {settings}")

    # The hooks that SQLAlchemy offers dialects for the set-up of types, which asks the server.
    for hook in ("setup_asyncpg_json_codec", "setup_asyncpg_jsonb_codec"):
        set_up = getattr(engine.dialect, hook)
        setattr(engine.dialect, hook, _in_transaction(set_up))


def _in_transaction(set_up: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def wrapped(connection: Any) -> None:
        async with connection.driver_connection.transaction():
            await set_up(connection)

    return wrapped


def _limits(settings: DatabaseSettings) -> dict[str, str]:
    return {
        "statement_timeout": _milliseconds(settings.statement_timeout),
        "lock_timeout": _milliseconds(settings.lock_timeout),
        "idle_in_transaction_session_timeout": _milliseconds(settings.idle_transaction_timeout),
    }


def _milliseconds(seconds: float) -> str:
    return str(max(1, int(seconds * 1000)))
