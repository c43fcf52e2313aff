"""Redis clients, asyncio and blocking. With Sentinel, they follow the primary.

If REDIS_URL is a rediss:// URL, connections to Redis and its Sentinels use TLS as configured by the
TLS_* settings.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis as BlockingRedis
from redis import Sentinel as BlockingSentinel
from redis.asyncio import BlockingConnectionPool, Redis, Sentinel
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

from fastapi_base.core.config.database import RedisSettings, TlsSettings
from fastapi_base.core.errors import Unavailable
from fastapi_base.core.security.tls import redis_tls

_CHECK_KEY = "fastapi-base:health"
_CHECK_MILLISECONDS = 10_000
# Unreachable, authentication failed, loading, out of memory, a replica, ...
_UNAVAILABLE = (
    ConnectionError,
    TimeoutError,
    OutOfMemoryError,
    ReadOnlyError,
    NoPermissionError,
    ClusterDownError,
    TryAgainError,
)
# Server states without an exception class in redis-py, by the first word of the reply.
_UNAVAILABLE_REPLIES = frozenset(
    {"MISCONF", "NOREPLICAS", "BUSY", "LOADING", "MASTERDOWN", "UNKILLABLE"}
)


def is_unavailable(error: Exception) -> bool:
    """Whether Redis is temporarily unusable. Any other error means that the call was wrong."""
    if isinstance(error, ResponseError) and not isinstance(error, _UNAVAILABLE):
        return str(error).partition(" ")[0] in _UNAVAILABLE_REPLIES
    return isinstance(error, (*_UNAVAILABLE, OSError))


@contextmanager
def answering() -> Iterator[None]:
    """Raise Unavailable if Redis cannot be used inside the block.

    Errors that mean an incorrect call pass unchanged. Keep the block to the Redis calls themselves.
    The code that handles Unavailable logs its cause.
    """
    try:
        yield
    except (RedisError, OSError) as error:
        if not is_unavailable(error):
            raise
        raise Unavailable("Redis does not answer") from error


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Gets the primary from Sentinel; callers wait when all connections are in use."""


async def check(redis: Redis) -> None:
    """Check that Redis accepts writes. Raises Unavailable, RedisError or OSError.

    A PING is not enough: replicas and servers without memory or disk space answer it too.
    """
    if not await redis.set(_CHECK_KEY, "1", px=_CHECK_MILLISECONDS):
        raise Unavailable("Redis did not accept a write")


def create_redis(settings: RedisSettings, tls: TlsSettings) -> Redis:
    """Create a client with timeouts on every operation. It connects on first use.

    It retries once, immediately, because Redis may have closed an idle connection. Longer retries
    are up to the caller.
    """
    waits: dict[str, Any] = {
        "max_connections": settings.max_connections,
        "timeout": settings.timeout,
        "retry": Retry(NoBackoff(), 1),
        **_sockets(settings),
    }
    if not settings.sentinels:
        secure = _certificates(settings, tls)
        return Redis.from_pool(BlockingConnectionPool.from_url(_url(settings), **waits, **secure))
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        settings.sentinel_addresses, sentinel_kwargs=sentinel_arguments(settings, tls)
    )
    # Credentials, database and TLS come from the URL; the host comes from Sentinel.
    client: Redis = sentinel.master_for(
        settings.sentinel_master,
        connection_pool_class=_SentinelPool,
        **_login(settings),
        **waits,
        **_secure(settings, tls),
    )
    return client


def create_blocking_redis(settings: RedisSettings, tls: TlsSettings) -> BlockingRedis:
    """Create a client for code without an event loop. Connects on first use; close it after use."""
    if not settings.sentinels:
        return BlockingRedis.from_url(
            _url(settings), **_sockets(settings), **_certificates(settings, tls)
        )
    options = _login(settings) | _sockets(settings) | _secure(settings, tls)
    sentinel = BlockingSentinel(  # type: ignore[no-untyped-call]
        settings.sentinel_addresses, sentinel_kwargs=sentinel_arguments(settings, tls), **options
    )
    client: BlockingRedis = sentinel.master_for(settings.sentinel_master)  # type: ignore[no-untyped-call]
    return client


def _url(settings: RedisSettings) -> str:
    return settings.url.get_secret_value()


def _sockets(settings: RedisSettings) -> dict[str, Any]:
    return {
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.connect_timeout,
    }


def _certificates(settings: RedisSettings, tls: TlsSettings) -> dict[str, Any]:
    """TLS options for clients that are created from a URL, whose scheme enables TLS."""
    return redis_tls(tls) if settings.encrypted else {}


def _secure(settings: RedisSettings, tls: TlsSettings) -> dict[str, Any]:
    """TLS options for connections without a URL: to Sentinels and to the servers they name."""
    return {"ssl": True, **redis_tls(tls)} if settings.encrypted else {}


def sentinel_arguments(settings: RedisSettings, tls: TlsSettings) -> dict[str, Any]:
    """redis-py's arguments for connections to the Sentinels themselves."""
    secret = settings.sentinel_password
    login = {"password": secret.get_secret_value()} if secret else {}
    return {**login, **_sockets(settings), **_secure(settings, tls)}


def _login(settings: RedisSettings) -> dict[str, Any]:
    parts = parse_url(_url(settings))
    return {key: parts[key] for key in ("username", "password", "db") if key in parts}
