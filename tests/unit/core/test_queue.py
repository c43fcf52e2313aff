"""While the broker is down, publishing fails quickly and tells which jobs were not published."""

import socket
import time
import uuid
from dataclasses import dataclass

import pytest

from fastapi_base.core.config import RedisSettings, Settings
from fastapi_base.core.errors import Unavailable
from fastapi_base.core.messaging.publisher import Publisher, celery_config
from fastapi_base.core.messaging.queues import Queue


@dataclass(frozen=True)
class Job:
    id: uuid.UUID
    kind: str = "word-count"
    queue: str = Queue.DEFAULT
    priority: int = 3
    request_id: str | None = None
    trace: dict[str, str] | None = None


def test_unreachable_server(settings: Settings) -> None:
    publisher = Publisher(settings)
    jobs = [Job(uuid.uuid4()), Job(uuid.uuid4())]
    start = time.monotonic()
    assert publisher.publish(jobs) == [job.id for job in jobs]
    with pytest.raises(Unavailable):
        publisher.epoch()
    assert time.monotonic() - start < settings.celery.publish_timeout
    publisher.close()


def test_unresponsive_server(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        redis = RedisSettings.model_validate({"url": f"redis://127.0.0.1:{port}", "timeout": 0.3})
        publisher = Publisher(settings.model_copy(update={"redis": redis}))
        job = Job(uuid.uuid4())
        assert publisher.publish([job]) == [job.id]
        with pytest.raises(Unavailable):
            publisher.epoch()
        publisher.close()


def test_tasks_are_acknowledged_late_and_limited_in_time(settings: Settings) -> None:
    config = celery_config(settings)
    assert config["accept_content"] == ["json"]
    assert config["task_acks_late"]
    assert config["task_reject_on_worker_lost"]
    assert config["worker_prefetch_multiplier"] == 1
    assert settings.celery.task_soft_time_limit < config["task_time_limit"]
    visibility = config["broker_transport_options"]["visibility_timeout"]
    assert config["task_time_limit"] < visibility
    assert [queue.name for queue in config["task_queues"]] == list(Queue)
