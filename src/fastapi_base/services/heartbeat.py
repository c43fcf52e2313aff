"""The sign that Beat schedules and that workers work: a time in Redis."""

from datetime import UTC, datetime

from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.core.errors import Unavailable

HEARTBEAT = "fastapi_base.heartbeat"
KEY = "fastapi-base:heartbeat"


async def beat(redis: Redis) -> None:
    """Write down that work is done at this moment."""
    await redis.set(KEY, datetime.now(UTC).isoformat())


async def last(redis: Redis) -> datetime | None:
    """When a worker last ran the heartbeat that Beat schedules. Raises Unavailable."""
    try:
        stored = await redis.get(KEY)
    except (RedisError, OSError) as error:
        raise Unavailable("Redis does not answer") from error
    if not stored:
        return None
    return datetime.fromisoformat(stored.decode() if isinstance(stored, bytes) else stored)
