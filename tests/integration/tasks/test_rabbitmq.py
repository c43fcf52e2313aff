"""RabbitMQ carries the tasks: a real worker takes them from a real server."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from fastapi_base.core.config import RedisSettings, Settings
from fastapi_base.core.config_jobs import CelerySettings
from fastapi_base.core.queue import Publisher
from fastapi_base.core.queues import Queue
from fastapi_base.services.heartbeat import KEY
from fastapi_base.services.jobs.outbox import Message
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
    publisher = Publisher(settings)
    # Before there is a worker: the task waits in RabbitMQ, and nothing of it is in Redis.
    assert publisher.publish([Message(uuid4(), "heartbeat", Queue.DEFAULT, 3, None)]) == []
    assert publisher.epoch() == ""
    assert await redis.keys() == []
    publisher.close()

    async def done() -> bytes | str | None:
        return await redis.get(KEY)

    environment = {"REDIS_URL": redis_url, "CELERY_BROKER_URL": broker_url}
    with running((*CELERY, "worker", "--concurrency=1"), tmp_path / "worker.log", **environment):
        assert await until(done, "a worker did the task")
