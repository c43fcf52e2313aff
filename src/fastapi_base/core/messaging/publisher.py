"""The broker, from the side of who hands it jobs: Celery, by the name of the task.

Messages hold no more than a job's id: what it is about stays in PostgreSQL.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from celery import Celery
from celery.exceptions import CeleryError
from kombu.entity import Queue as Declared
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from fastapi_base.core import tracing
from fastapi_base.core.broker import Broker
from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Unavailable
from fastapi_base.core.queues import LAST_PRIORITY, Queue, task_name
from fastapi_base.core.redis import create_blocking_redis

REQUEST_ID_HEADER = "fastapi_base_request_id"
# What a task's request calls what became of its job.
OUTCOME = "job_outcome"
# And for how many seconds the job was due before it was begun.
WAITED = "job_waited"
_EPOCH_KEY = "fastapi-base:broker-epoch"
_DOWN = (CeleryError, KombuError, RedisError, OSError)


class Message(Protocol):
    """What is published of a job."""

    @property
    def id(self) -> uuid.UUID:
        """The job's id, and the task's."""

    @property
    def kind(self) -> str:
        """The name of the job's kind."""

    @property
    def queue(self) -> str:
        """The name of a Queue."""

    @property
    def priority(self) -> int:
        """0 to 9; the lower goes first."""

    @property
    def request_id(self) -> str | None:
        """The request that asked for the job."""

    @property
    def trace(self) -> Mapping[str, str] | None:
        """The headers of the trace that the job is part of."""


def celery_app(name: str, settings: Settings) -> Celery:
    """A Celery application, configured alike for who sends and who works."""
    app = Celery(name, set_as_current=False)
    app.conf.update(celery_config(settings))
    return app


def celery_config(settings: Settings) -> dict[str, Any]:
    """Celery's configuration: JSON only, nothing lost when a worker dies, everything bounded."""
    limits = settings.celery
    broker = Broker.of(settings)
    return {
        "task_serializer": "json",
        "accept_content": ["json"],
        "enable_utc": True,
        "timezone": "UTC",
        "task_default_queue": Queue.DEFAULT.value,
        "task_queues": [_declared(queue) for queue in Queue],
        # What became of a job is in PostgreSQL.
        "task_ignore_result": True,
        # At least once: acknowledge after the work, and give it back when the worker is killed.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        # A job goes on while the broker is away. That its message comes again does no harm.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_url": broker.url,
        "broker_transport_options": broker.options,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # Jobs are interrupted by the runner, in an orderly way; a process that does not answer to
        # that is killed.
        "task_time_limit": limits.task_time_limit,
        "redis_socket_timeout": settings.redis.timeout,
        "redis_socket_connect_timeout": settings.redis.connect_timeout,
        "worker_concurrency": limits.concurrency,
        "worker_max_tasks_per_child": limits.max_tasks_per_child,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def _declared(queue: Queue) -> Declared:
    # By a key of its own: else Celery gives all the same one, and each would get the others' jobs.
    name = queue.value
    return Declared(name, routing_key=name, max_priority=LAST_PRIORITY)  # type: ignore[no-untyped-call]


class Publisher:
    """Hands jobs to the broker. Blocks, and belongs to one thread."""

    def __init__(self, settings: Settings) -> None:
        self._app = celery_app("fastapi_base.relay", settings)
        self._app.conf.update(
            # Fail at once: the relay knows what was not sent, and comes again.
            task_publish_retry=False,
            broker_connection_retry=False,
            broker_connection_max_retries=0,
            broker_transport_options={
                **self._app.conf.broker_transport_options,
                "socket_timeout": settings.redis.timeout,
                "max_retries": 0,
            },
        )
        on_redis = settings.celery.broker_url is None
        self._redis = create_blocking_redis(settings.redis) if on_redis else None

    def publish(self, messages: Sequence[Message]) -> list[uuid.UUID]:
        """Send the jobs; the ids of those that the broker may not have."""
        sent = 0
        try:
            with self._app.producer_or_acquire() as producer:
                for message in messages:
                    task, task_id = task_name(message.kind), str(message.id)
                    with tracing.sending(task, task_id, message.trace or {}) as headers:
                        if message.request_id:
                            headers[REQUEST_ID_HEADER] = message.request_id
                        self._send(producer, message, headers)
                    sent += 1
        except _DOWN:
            pass
        return [message.id for message in messages[sent:]]

    def _send(self, producer: Any, message: Message, headers: dict[str, str]) -> None:
        self._app.send_task(
            task_name(message.kind),
            task_id=str(message.id),
            queue=message.queue,
            # RabbitMQ counts the other way round.
            priority=message.priority if self._redis else LAST_PRIORITY - message.priority,
            headers=headers,
            retry=False,
            producer=producer,
        )

    def pulse(self, task: str, seconds: float) -> bool:
        """Send a task that is no job, dropped after so many seconds; whether it went."""
        try:
            self._app.send_task(task, queue=Queue.DEFAULT.value, expires=seconds, retry=False)
        except _DOWN:
            return False
        return True

    def epoch(self) -> str:
        """A text that changes when the broker may have lost what it had. Raises Unavailable.

        Redis gives each start of a server an id, and a key of ours is gone after a FLUSHALL.
        RabbitMQ keeps what it confirmed.
        """
        if self._redis is None:
            return ""
        try:
            self._redis.set(_EPOCH_KEY, str(uuid.uuid4()), nx=True)
            run: Any = self._redis.info("server")
            mark: Any = self._redis.get(_EPOCH_KEY)
        except _DOWN as error:
            raise Unavailable("the broker does not answer") from error
        return f"{run['run_id']} {mark!r}"

    def close(self) -> None:
        """Close connections."""
        self._app.close()
        if self._redis is not None:
            self._redis.close()
