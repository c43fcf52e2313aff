"""The database engine and its connection pool."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Connection, ExceptionContext, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from fastapi_base.core.config.database import DatabaseSettings, TlsSettings
from fastapi_base.core.config.postgres_url import PostgresUrl
from fastapi_base.core.postgres import driver_arguments, sqlalchemy_url
from fastapi_base.db import comments, failures, tracing


def create_engine(
    settings: DatabaseSettings, name: str = "fastapi-base", tls: TlsSettings | None = None
) -> AsyncEngine:
    """Create an engine with timeouts on every connection. Connects on first use.

    By default, the pool does not grow beyond `pool_size`: PostgreSQL connections are a limited
    resource, and waiting for a free one costs less than opening another.
    """
    return _create(settings, settings.primary, name, tls)


def create_replica_engine(
    settings: DatabaseSettings, name: str = "fastapi-base", tls: TlsSettings | None = None
) -> AsyncEngine | None:
    """The engine of the replica, or None if none is set. It tests connections before use.

    Because of this extra round trip, the fallback to the primary is decided before the first
    statement runs.
    """
    if settings.replica is None:
        return None
    return _create(settings, settings.replica, name, tls, pool_pre_ping=True)


def _create(
    settings: DatabaseSettings,
    url: PostgresUrl,
    name: str,
    tls: TlsSettings | None,
    *,
    pool_pre_ping: bool = False,
) -> AsyncEngine:
    limits = _limits(settings)
    driver = driver_arguments(settings, url, tls) | {"timeout": settings.connect_timeout}
    if settings.pgbouncer:
        # PgBouncer does not accept these startup parameters. The client enforces the statement
        # timeout too, and _behind_pgbouncer sets the limits in each transaction.
        driver |= {
            "command_timeout": settings.statement_timeout,
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": _no_name,
        }
    else:
        driver |= {
            # A statement with a request id in its comment never recurs.
            "prepared_statement_cache_size": 0
            if settings.sql_comments
            else settings.statement_cache_size,
            "server_settings": {"application_name": name, **driver["server_settings"], **limits},
        }
    engine = create_async_engine(
        sqlalchemy_url(url),
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
        pool_timeout=settings.pool_timeout,
        pool_recycle=settings.pool_recycle,
        pool_use_lifo=True,
        pool_pre_ping=pool_pre_ping,
        # Errors are logged, and parameters may be secrets.
        hide_parameters=True,
        connect_args=driver,
    )
    if settings.pgbouncer:
        _behind_pgbouncer(engine, limits)
    _throw_away(engine)
    if settings.sql_comments:
        comments.install(engine)
    tracing.install(engine)
    return engine


def _throw_away(engine: AsyncEngine) -> None:
    """Discard unusable connections: those closed by the server while idle, and failed ones."""

    @event.listens_for(engine.sync_engine, "checkout")
    def look(connection: Any, _record: Any, _proxy: Any) -> None:
        # The driver knows without a round trip. The pool reconnects, and no request fails.
        if connection.driver_connection.is_closed():
            raise DisconnectionError

    @event.listens_for(engine.sync_engine, "handle_error")
    def fail(failed: ExceptionContext) -> None:
        error = failed.sqlalchemy_exception or failed.original_exception
        if not failed.is_disconnect and (isinstance(error, OSError) or failures.unusable(error)):
            failed.is_disconnect = True
            # By default, SQLAlchemy would discard all connections, as after a restart of the
            # server.
            failed.invalidate_pool_on_disconnect = False


def _no_name() -> str:
    # The unnamed statement: names of different clients could collide on a shared connection.
    return ""


def _behind_pgbouncer(engine: AsyncEngine, limits: dict[str, str]) -> None:
    """Adapt the engine to connections that may change between transactions.

    asyncpg prepares and executes a statement in two steps, which need the same server connection.
    Therefore everything runs inside transactions, including the set-up of a connection.
    """
    settings = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in limits.items())

    @event.listens_for(engine.sync_engine, "begin")
    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT {settings}")

    # SQLAlchemy's dialect hooks for setting up type codecs, which query the server.
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
