"""The sign that Beat schedules and that workers work: a time in Redis."""

from datetime import UTC, datetime

from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Unavailable
from fastapi_base.core.queues import task_name
from fastapi_base.services.jobs.kinds import Nothing
from fastapi_base.services.jobs.schedules import Missed, Schedule

NAME = "heartbeat"
HEARTBEAT = task_name(NAME)
KEY = "fastapi-base:heartbeat"


def schedule(settings: Settings) -> Schedule[Nothing]:
    """Every CELERY_HEARTBEAT_SECONDS. No job: it shows that messages reach workers."""
    when = f"every {settings.celery.heartbeat_seconds:g}s"
    return Schedule(NAME, None, when, lambda _: Nothing(), missed=Missed.SKIP)


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
