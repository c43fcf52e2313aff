"""RabbitMQ carries the tasks: a real worker takes them from a real server."""

import asyncio
import json
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
from fastapi_base.services.jobs.kinds import Priority
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


@pytest.mark.parametrize("broker", ["RabbitMQ", "Redis"])
async def test_the_urgent_goes_first_whichever_way_the_broker_counts(
    broker: str,
    redis: Redis,
    redis_url: str,
    fresh_database_url: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    url = request.getfixturevalue("broker_url") if broker == "RabbitMQ" else None
    publisher = Publisher(
        Settings(
            redis=RedisSettings.model_validate({"url": redis_url}),
            celery=CelerySettings.model_validate({"broker_url": url}),
        )
    )
    # The least urgent is sent first. None is in the database: they are seen to all the same.
    sent = [
        Message(uuid4(), "word-count", Queue.DEFAULT, priority, None)
        for priority in sorted(Priority, reverse=True)
        for _ in range(2)
    ]
    assert publisher.publish(sent) == []
    publisher.close()
    log = tmp_path / "worker.log"

    async def ended() -> list[str] | None:
        lines = (await asyncio.to_thread(log.read_text)).splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        found = [event["task_id"] for event in events if event["event"] == "task ended"]
        return found if len(found) == len(sent) else None

    environment = {
        "DATABASE_URL": fresh_database_url,
        "REDIS_URL": redis_url,
        "LOG_FORMAT": "json",
        **({"CELERY_BROKER_URL": url} if url else {}),
    }
    with running((*CELERY, "worker", "--concurrency=1"), log, **environment):
        done = await until(ended, "all are seen to", 60)
    urgency = {str(message.id): message.priority for message in sent}
    assert [urgency[task_id] for task_id in done] == sorted(urgency.values())
