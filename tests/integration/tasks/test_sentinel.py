"""Redis behind Sentinel: after the primary is killed, clients, broker and results still work."""

import asyncio
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.core.config import RedisSettings, Settings
from fastapi_base.core.config.database import TlsSettings
from fastapi_base.core.config.jobs import CelerySettings
from fastapi_base.core.messaging.publisher import Publisher
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.core.messaging.redis import create_redis
from fastapi_base.services.health.heartbeat import KEY
from fastapi_base.services.jobs.outbox import Message
from tests.integration.certificates import write_certificate
from tests.integration.processes import CELERY, running
from tests.integration.waiting import until
from tests.sentinel import MASTER, PASSWORD, SENTINEL_PASSWORD, Watched, watched

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["plain", "TLS"])
def servers(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Watched, TlsSettings | None]]:
    if request.param == "plain":
        with watched() as started:
            yield started, None
        return
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate, key = write_certificate(tmp_path / "tls", loopback)
    with watched(certificate, key) as started:
        yield started, TlsSettings(ca_file=certificate)


async def test_clients_and_workers_follow_the_primary(
    servers: tuple[Watched, TlsSettings | None], tmp_path: Path
) -> None:
    started, tls = servers
    # Nothing listens there: a client that does not ask Sentinel fails.
    url = f"{'rediss' if tls else 'redis'}://:{PASSWORD}@127.0.0.1:9/1"
    settings = Settings(
        redis=RedisSettings.model_validate(
            {
                "url": url,
                "sentinels": ",".join(started.addresses),
                "sentinel_master": MASTER,
                "sentinel_password": SENTINEL_PASSWORD,
            }
        ),
        celery=CelerySettings(concurrency=1),
        tls=tls or TlsSettings(),
    )
    environment = {
        "REDIS_URL": url,
        "REDIS_SENTINELS": ",".join(started.addresses),
        "REDIS_SENTINEL_MASTER": MASTER,
        "REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD,
        "CELERY_CONCURRENCY": "1",
        **({"TLS_CA_FILE": str(tls.ca_file)} if tls else {}),
    }
    if tls:
        stranger = settings.model_copy(update={"tls": TlsSettings()})
        assert not await answers(stranger)
    queue = Publisher(settings)
    try:
        async with create_redis(settings.redis, settings.tls) as redis:
            with running((*CELERY, "worker"), tmp_path / "worker.log", **environment):
                await redis.set("kept", "yes")
                assert await redis.wait(1, 5000) == 1
                assert await works(queue, redis)
                started.first.kill()
                await until(lambda: promoted(redis, started.first_port), "another is primary")
                assert await redis.get("kept") == b"yes"
                assert await works(queue, redis)
    finally:
        queue.close()


async def answers(settings: Settings) -> bool:
    """Whether the client accepts the certificates of Sentinel and primary."""
    async with create_redis(settings.redis, settings.tls) as redis:
        try:
            return bool(await redis.ping())
        except RedisError:
            return False


async def works(queue: Publisher, redis: Redis) -> bool:
    """Whether a sent task completes; it is sent again while no worker takes it."""

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
    """True once the client talks to a new primary."""
    try:
        server = await redis.info()
    except RedisError:
        return None
    return True if server["role"] == "master" and server["tcp_port"] != first_port else None
