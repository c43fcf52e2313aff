"""Proves that Beat schedules and a worker works: writes the time to Redis."""

from datetime import UTC, datetime

from celery import Task, shared_task
from redis import Redis

from fastapi_base.core.queue import HEARTBEAT_KEY
from fastapi_base.services.jobs import HEARTBEAT


@shared_task(name=HEARTBEAT, bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
def heartbeat(self: Task) -> None:
    """Write the time, in UTC and ISO 8601, where `/health/ready` reads it."""
    conf = self.app.conf
    with Redis.from_url(
        self.app.backend.url,
        socket_timeout=conf.redis_socket_timeout,
        socket_connect_timeout=conf.redis_socket_connect_timeout,
    ) as redis:
        redis.set(HEARTBEAT_KEY, datetime.now(UTC).isoformat())
