"""Redis clients: of the event loop, and one that blocks. With Sentinel they follow its primary."""

from typing import Any

from redis import Redis as BlockingRedis
from redis import Sentinel as BlockingSentinel
from redis.asyncio import BlockingConnectionPool, Redis, Sentinel
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

from fastapi_base.core.config import RedisSettings


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Asks Sentinel for the primary, and lets callers wait when all connections are taken."""


def create_redis(settings: RedisSettings) -> Redis:
    """A client whose every wait has an end. Connects on first use.

    It tries once more at once, for a connection that Redis closed while idle; waiting longer is for
    the caller to decide.
    """
    waits: dict[str, Any] = {
        "max_connections": settings.max_connections,
        "timeout": settings.timeout,
        "retry": Retry(NoBackoff(), 1),
        **_sockets(settings),
    }
    if not settings.sentinels:
        return Redis.from_pool(BlockingConnectionPool.from_url(_url(settings), **waits))
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        settings.sentinel_addresses, sentinel_kwargs=_sentinel(settings)
    )
    # TLS was refused with the settings, so what is left of the URL is who asks, and for which data.
    client: Redis = sentinel.master_for(
        settings.sentinel_master, connection_pool_class=_SentinelPool, **_login(settings), **waits
    )
    return client


def create_blocking_redis(settings: RedisSettings) -> BlockingRedis:
    """A client for code that has no event loop. Connects on first use; close it after use."""
    if not settings.sentinels:
        return BlockingRedis.from_url(_url(settings), **_sockets(settings))
    options = _login(settings) | _sockets(settings)
    sentinel = BlockingSentinel(  # type: ignore[no-untyped-call]
        settings.sentinel_addresses, sentinel_kwargs=_sentinel(settings), **options
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


def _sentinel(settings: RedisSettings) -> dict[str, Any]:
    secret = settings.sentinel_password
    login = {"password": secret.get_secret_value()} if secret else {}
    return {**login, **_sockets(settings)}


def _login(settings: RedisSettings) -> dict[str, Any]:
    parts = parse_url(_url(settings))
    return {key: parts[key] for key in ("username", "password", "db") if key in parts}
