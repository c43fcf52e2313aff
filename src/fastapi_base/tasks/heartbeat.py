"""Proves that Beat schedules and a worker works: writes the time to Redis."""

from datetime import UTC, datetime

from celery import shared_task

from fastapi_base.core.queue import HEARTBEAT_KEY
from fastapi_base.core.redis import create_blocking_redis
from fastapi_base.services.jobs import HEARTBEAT
from fastapi_base.tasks import runtime


@shared_task(name=HEARTBEAT, ignore_result=True)  # type: ignore[untyped-decorator]
def heartbeat() -> None:
    """Write the time, in UTC and ISO 8601, where `/health/ready` reads it."""
    with create_blocking_redis(runtime.settings().redis) as redis:
        redis.set(HEARTBEAT_KEY, datetime.now(UTC).isoformat())
