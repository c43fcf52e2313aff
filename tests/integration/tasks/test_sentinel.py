"""Redis behind Sentinel: the primary is killed, and clients, broker and results go on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.core.config import RedisSettings, Settings
from fastapi_base.core.config_jobs import CelerySettings
from fastapi_base.core.queue import Publisher
from fastapi_base.core.queues import Queue
from fastapi_base.core.redis import create_redis
from fastapi_base.services.heartbeat import KEY
from fastapi_base.services.jobs.outbox import Message
from tests.integration.processes import CELERY, running
from tests.integration.waiting import until
from tests.sentinel import MASTER, PASSWORD, SENTINEL_PASSWORD, Watched, watched

pytestmark = pytest.mark.anyio


@pytest.fixture
def servers() -> Iterator[Watched]:
    with watched() as started:
        yield started


async def test_clients_and_workers_follow_the_primary(servers: Watched, tmp_path: Path) -> None:
    # Nothing listens there: whoever does not ask Sentinel fails.
    url = f"redis://:{PASSWORD}@127.0.0.1:9/1"
    settings = Settings(
        redis=RedisSettings.model_validate(
            {
                "url": url,
                "sentinels": ",".join(servers.addresses),
                "sentinel_master": MASTER,
                "sentinel_password": SENTINEL_PASSWORD,
            }
        ),
        celery=CelerySettings(concurrency=1),
    )
    environment = {
        "REDIS_URL": url,
        "REDIS_SENTINELS": ",".join(servers.addresses),
        "REDIS_SENTINEL_MASTER": MASTER,
        "REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD,
        "CELERY_CONCURRENCY": "1",
    }
    queue = Publisher(settings)
    try:
        async with create_redis(settings.redis) as redis:
            with running((*CELERY, "worker"), tmp_path / "worker.log", **environment):
                await redis.set("kept", "yes")
                assert await redis.wait(1, 5000) == 1
                assert await works(queue, redis)
                servers.first.kill()
                await until(lambda: promoted(redis, servers.first_port), "another is primary")
                assert await redis.get("kept") == b"yes"
                assert await works(queue, redis)
    finally:
        queue.close()


async def works(queue: Publisher, redis: Redis) -> bool:
    """Whether a task that is sent is done; sent again while nobody takes it."""

    async def sent() -> bool | None:
        message = Message(uuid4(), "heartbeat", Queue.DEFAULT, 3, None)
        try:
            await redis.delete(KEY)
        except RedisError:
            return None
        return None if await asyncio.to_thread(queue.publish, [message]) else True

    async def done() -> Any:
        return await redis.get(KEY)

    await until(sent, "the queue takes the task")
    return bool(await until(done, "a worker did the task", seconds=90))


async def promoted(redis: Redis, first_port: int) -> bool | None:
    """True when the client talks to a primary that is not the first one."""
    try:
        server = await redis.info()
    except RedisError:
        return None
    return True if server["role"] == "master" and server["tcp_port"] != first_port else None
