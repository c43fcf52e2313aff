"""Counting the messages in Redis, and programming errors when doing so."""

from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from fastapi_base.core.config import Settings
from fastapi_base.core.messaging.publisher import Publisher
from fastapi_base.core.messaging.queues import STEPS, Queue, redis_list
from fastapi_base.tasks.metrics import QueueCollector


@pytest.fixture
def broker(redis_url: str) -> Iterator[Redis]:
    """Redis, empty except for one message more than its step in each list."""
    with Redis.from_url(redis_url) as client:
        client.flushdb()
        for queue in Queue:
            for step in STEPS:
                client.rpush(redis_list(queue, step), *["message"] * (step + 1))
        yield client
        client.flushdb()


@pytest.fixture
def publisher(settings: Settings) -> Iterator[Publisher]:
    opened = Publisher(settings)
    yield opened
    opened.close()


@pytest.mark.usefixtures("broker")
def test_messages_are_counted_by_queue_and_priority(
    publisher: Publisher, settings: Settings
) -> None:
    assert publisher.waiting() == {(queue, step): step + 1 for queue in Queue for step in STEPS}
    [family] = QueueCollector(settings).collect()
    expected = {queue: float(sum(STEPS) + len(STEPS)) for queue in Queue}
    assert {sample.labels["queue"]: sample.value for sample in family.samples} == expected


def test_command_that_redis_rejects_is_not_an_outage(
    broker: Redis, publisher: Publisher, settings: Settings
) -> None:
    broker.set(Queue.MAIL.value, "no list")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        publisher.waiting()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        list(QueueCollector(settings).collect())
    broker.delete("fastapi-base:broker-epoch")
    broker.rpush("fastapi-base:broker-epoch", "no text")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        publisher.epoch()
