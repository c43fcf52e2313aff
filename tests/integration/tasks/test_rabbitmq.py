"""RabbitMQ carries the tasks: a real worker takes them from a real server."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from fastapi_base.core.config import CelerySettings, RedisSettings, Settings
from fastapi_base.core.queue import HEARTBEAT_KEY, TaskQueue
from fastapi_base.services.jobs import HEARTBEAT
from tests.integration.processes import CELERY, running
from tests.integration.waiting import until
from tests.rabbitmq import rabbitmq

pytestmark = pytest.mark.anyio


@pytest.fixture
def broker_url() -> Iterator[str]:
    with rabbitmq() as url:
        yield url


async def test_worker_takes_tasks_from_rabbitmq(
    broker_url: str, redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    settings = Settings(
        redis=RedisSettings.model_validate({"url": redis_url}),
        celery=CelerySettings.model_validate({"broker_url": broker_url}),
    )
    queue = TaskQueue(settings)
    try:
        # Before there is a worker: the task waits in RabbitMQ, and nothing of it is in Redis.
        await queue.send(HEARTBEAT, str(uuid4()), [])
        assert await redis.keys() == []
    finally:
        queue.close()

    async def done() -> bytes | str | None:
        return await redis.get(HEARTBEAT_KEY)

    environment = {"REDIS_URL": redis_url, "CELERY_BROKER_URL": broker_url}
    with running((*CELERY, "worker", "--concurrency=1"), tmp_path / "worker.log", **environment):
        assert await until(done, "a worker did the task")
