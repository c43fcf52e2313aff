"""RabbitMQ as the broker: a real worker consumes tasks from a real server."""

import asyncio
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import kombu.pools
import pytest
from cryptography import x509
from redis.asyncio import Redis

from fastapi_base.core.config import Settings
from fastapi_base.core.config.database import RedisSettings, TlsSettings
from fastapi_base.core.config.jobs import CelerySettings
from fastapi_base.core.messaging.publisher import Publisher
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.services.health.heartbeat import KEY
from fastapi_base.services.jobs.kinds import Priority
from fastapi_base.services.jobs.outbox import Message
from tests.integration import logs
from tests.integration.certificates import write_certificate
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
    # Before there is a worker: the task waits in RabbitMQ, and Redis holds nothing of it.
    assert publisher.publish([Message(uuid4(), "heartbeat", Queue.DEFAULT, 3, None)]) == []
    assert publisher.epoch() == ""
    assert await redis.keys() == []
    publisher.close()

    async def done() -> bytes | str | None:
        return await redis.get(KEY)

    environment = {"REDIS_URL": redis_url, "CELERY_BROKER_URL": broker_url}
    with running((*CELERY, "worker", "--concurrency=1"), tmp_path / "worker.log", **environment):
        assert await until(done, "a worker did the task")


async def test_rabbitmq_is_verified_by_certificate_and_name(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate, key = write_certificate(tmp_path / "own", loopback)
    foreign, _ = write_certificate(tmp_path / "foreign", loopback)

    def reaches(url: str, tls: TlsSettings) -> bool:
        # kombu caches connections by their URL, regardless of encryption.
        kombu.pools.reset()  # type: ignore[no-untyped-call]
        publisher = Publisher(
            Settings(
                redis=RedisSettings.model_validate({"url": redis_url}),
                celery=CelerySettings.model_validate({"broker_url": url}),
                tls=tls,
            )
        )
        sent = publisher.publish([Message(uuid4(), "heartbeat", Queue.DEFAULT, 3, None)]) == []
        publisher.close()
        return sent

    known = TlsSettings(ca_file=certificate)
    with rabbitmq(certificate, key) as url:
        elsewhere = url.replace("127.0.0.1", "localhost")
        assert not await asyncio.to_thread(reaches, url, TlsSettings())
        assert not await asyncio.to_thread(reaches, url, TlsSettings(ca_file=foreign))
        assert not await asyncio.to_thread(reaches, elsewhere, known)
        assert await asyncio.to_thread(reaches, elsewhere, TlsSettings(verify="none"))
        assert await asyncio.to_thread(reaches, url, known)

        async def done() -> bytes | str | None:
            return await redis.get(KEY)

        environment = {
            "REDIS_URL": redis_url,
            # A form that Celery itself would not parse.
            "CELERY_BROKER_URL": f'"{url}"\r',
            "TLS_CA_FILE": str(certificate),
        }
        log = tmp_path / "worker.log"
        with running((*CELERY, "worker", "--concurrency=1"), log, **environment):
            assert await until(done, "a worker did the task")


@pytest.mark.parametrize("broker", ["RabbitMQ", "Redis"])
async def test_urgent_tasks_go_first_on_every_broker(
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
    # The least urgent is sent first. None is in the database; they run nevertheless.
    sent = [
        Message(uuid4(), "word-count", Queue.DEFAULT, priority, None)
        for priority in sorted(Priority, reverse=True)
        for _ in range(2)
    ]
    assert publisher.publish(sent) == []
    publisher.close()
    log = tmp_path / "worker.log"

    async def ended() -> list[str] | None:
        events = await asyncio.to_thread(logs.events, log)
        found = [event["task_id"] for event in events if event["event"] == "task ended"]
        return found if len(found) == len(sent) else None

    environment = {
        "DATABASE_URL": fresh_database_url,
        "REDIS_URL": redis_url,
        "LOG_FORMAT": "json",
        **({"CELERY_BROKER_URL": url} if url else {}),
    }
    with running((*CELERY, "worker", "--concurrency=1"), log, **environment):
        done = await until(ended, "all tasks have ended", 60)
    urgency = {str(message.id): message.priority for message in sent}
    assert [urgency[task_id] for task_id in done] == sorted(urgency.values())
