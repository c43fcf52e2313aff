"""Heartbeats in Redis: Beat schedules and workers run, and a relay runs."""

from datetime import UTC, datetime

from redis.asyncio import Redis

from fastapi_base.core.config import Settings
from fastapi_base.core.messaging.queues import task_name
from fastapi_base.core.messaging.redis import answering
from fastapi_base.services.jobs.kinds import EmptyPayload
from fastapi_base.services.jobs.schedules import Missed, Schedule

NAME = "heartbeat"
HEARTBEAT = task_name(NAME)
KEY = "fastapi-base:heartbeat"
RELAY_KEY = "fastapi-base:relay"


def schedule(settings: Settings) -> Schedule[EmptyPayload]:
    """Every CELERY_HEARTBEAT_SECONDS. A bare task, no job: it shows that messages arrive."""
    when = f"every {settings.celery.heartbeat_seconds:g}s"
    return Schedule(NAME, None, when, lambda _: EmptyPayload(), missed=Missed.SKIP)


async def beat(redis: Redis, key: str = KEY) -> None:
    """Record the current time."""
    await redis.set(key, datetime.now(UTC).isoformat())


async def last(redis: Redis, key: str = KEY) -> datetime | None:
    """When a worker last ran the heartbeat that Beat schedules. Raises Unavailable.

    With RELAY_KEY: when a relay last polled for jobs.
    """
    with answering():
        stored = await redis.get(key)
    if not stored:
        return None
    return datetime.fromisoformat(stored.decode() if isinstance(stored, bytes) else stored)
