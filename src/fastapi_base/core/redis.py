"""The Redis client of the event loop."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from fastapi_base.core.config import RedisSettings


def create_redis(settings: RedisSettings) -> Redis:
    """A client whose every wait has an end. Connects on first use.

    It tries once more at once, for a connection that Redis closed while idle; waiting longer is for
    the caller to decide.
    """
    pool = BlockingConnectionPool.from_url(
        settings.url.get_secret_value(),
        max_connections=settings.max_connections,
        timeout=settings.timeout,
        socket_timeout=settings.timeout,
        socket_connect_timeout=settings.connect_timeout,
        retry=Retry(NoBackoff(), 1),
    )
    return Redis.from_pool(pool)
