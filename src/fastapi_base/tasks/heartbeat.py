"""Shows that Beat schedules and a worker works: writes the time to Redis."""

from celery import shared_task

from fastapi_base.core.messaging.redis import create_redis
from fastapi_base.db.session import Database
from fastapi_base.services.health import heartbeat
from fastapi_base.tasks import runtime


@shared_task(name=heartbeat.HEARTBEAT)  # type: ignore[untyped-decorator]
def beat() -> None:
    """Write the time, in UTC and ISO 8601, to where `/health/ready` reads it."""

    async def write(_: Database) -> None:
        settings = runtime.settings()
        redis = create_redis(settings.redis, settings.tls)
        try:
            await heartbeat.beat(redis)
        finally:
            await redis.aclose()

    runtime.run(write)
