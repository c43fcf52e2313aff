"""The engine and its pool."""

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from fastapi_base.core.config import DatabaseSettings


def create_engine(settings: DatabaseSettings, name: str = "fastapi-base") -> AsyncEngine:
    """An engine whose every connection has time limits. Connects on first use.

    The pool does not grow beyond `pool_size`: PostgreSQL's connections are few, and waiting in line
    for one costs less than opening one.
    """
    return create_async_engine(
        settings.url.get_secret_value(),
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout,
        pool_recycle=settings.pool_recycle,
        pool_use_lifo=True,
        pool_pre_ping=False,
        connect_args={
            "timeout": settings.connect_timeout,
            "server_settings": {
                "application_name": name,
                "statement_timeout": _milliseconds(settings.statement_timeout),
                "lock_timeout": _milliseconds(settings.lock_timeout),
                "idle_in_transaction_session_timeout": _milliseconds(
                    settings.idle_transaction_timeout
                ),
            },
        },
    )


def _milliseconds(seconds: float) -> str:
    return str(max(1, int(seconds * 1000)))
