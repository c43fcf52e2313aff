"""Publishes jobs to the broker through Celery, addressing tasks by name.

A message carries only the id of a job; its payload stays in PostgreSQL.
"""

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from celery import Celery
from kombu.entity import Queue as Declared
from kombu.exceptions import OperationalError
from redis import Redis as BlockingRedis

from fastapi_base.core.config import Settings
from fastapi_base.core.messaging.broker import Broker
from fastapi_base.core.messaging.queues import LAST_PRIORITY, STEPS, Queue, redis_list, task_name
from fastapi_base.core.messaging.redis import answering, create_blocking_redis, is_unavailable
from fastapi_base.core.observability import tracing

log = structlog.stdlib.get_logger(__name__)

REQUEST_ID_HEADER = "fastapi_base_request_id"
# The attribute of a task's request that holds the outcome of its job.
OUTCOME = "job_outcome"
# The attribute that holds the seconds between the due time of the job and its start.
WAITED = "job_waited"
_EPOCH_KEY = "fastapi-base:broker-epoch"
_BROKER_VARIABLE = "CELERY_BROKER_URL"


class Message(Protocol):
    """The fields of a job that are published."""

    @property
    def id(self) -> uuid.UUID:
        """The id of the job, which is also the id of the task."""

    @property
    def kind(self) -> str:
        """The name of the job's kind."""

    @property
    def queue(self) -> str:
        """The name of a Queue."""

    @property
    def priority(self) -> int:
        """From 0 to 9; lower values are delivered first."""

    @property
    def request_id(self) -> str | None:
        """The id of the request that created the job."""

    @property
    def trace(self) -> Mapping[str, str] | None:
        """The propagation headers of the trace that the job belongs to."""


def celery_app(name: str, settings: Settings) -> Celery:
    """A Celery application with the configuration that publishers and workers share."""
    _correct_environment(settings)
    app = Celery(name, set_as_current=False)
    app.conf.update(celery_config(settings))
    return app


def _correct_environment(settings: Settings) -> None:
    # Celery prefers this variable to its configuration and reads it unnormalised.
    if os.environ.pop(_BROKER_VARIABLE, None) is not None and settings.celery.broker_url:
        os.environ[_BROKER_VARIABLE] = settings.celery.broker_url.get_secret_value()


def celery_config(settings: Settings) -> dict[str, Any]:
    """Celery's configuration: JSON only, redelivery if a worker dies, and bounded waits."""
    limits = settings.celery
    broker = Broker.of(settings)
    return {
        "task_serializer": "json",
        "accept_content": ["json"],
        "enable_utc": True,
        "timezone": "UTC",
        "task_default_queue": Queue.DEFAULT.value,
        "task_queues": [_declared(queue) for queue in Queue],
        # PostgreSQL stores the outcomes of jobs.
        "task_ignore_result": True,
        # At-least-once delivery: acknowledge after execution, and requeue if the worker is killed.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        # A job continues while the broker is unavailable. Redelivery of its message is harmless.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_url": broker.url,
        "broker_transport_options": broker.options,
        "broker_use_ssl": broker.tls,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # The runner interrupts jobs in an orderly way at the soft limit. A process that does not
        # respond is killed at this limit.
        "task_time_limit": limits.task_time_limit,
        "redis_socket_timeout": settings.redis.timeout,
        "redis_socket_connect_timeout": settings.redis.connect_timeout,
        "worker_concurrency": limits.concurrency,
        "worker_max_tasks_per_child": limits.max_tasks_per_child,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def _declared(queue: Queue) -> Declared:
    # With Celery's default routing key, each queue would receive the messages of all queues.
    name = queue.value
    return Declared(name, routing_key=name, max_priority=LAST_PRIORITY)  # type: ignore[no-untyped-call]


def _log(error: Exception) -> None:
    """Log why the broker does not answer, with a traceback if the error is unexpected."""
    expected = isinstance(error, (OperationalError, OSError)) or is_unavailable(error)
    log.warning(
        "the broker does not answer",
        error=f"{type(error).__name__}: {error}",
        exc_info=None if expected else error,
    )


def lengths(redis: BlockingRedis, queues: Iterable[str] = Queue) -> dict[tuple[str, int], int]:
    """The number of messages in Redis by queue and priority step. Raises Unavailable."""
    lists = [(str(queue), step) for queue in queues for step in STEPS]
    with answering(), redis.pipeline(transaction=False) as pipeline:
        for queue, step in lists:
            pipeline.llen(redis_list(queue, step))
        return dict(zip(lists, pipeline.execute(), strict=True))


class Publisher:
    """Publishes jobs to the broker. Its calls block; use an instance from one thread only."""

    def __init__(self, settings: Settings) -> None:
        self._app = celery_app("fastapi_base.relay", settings)
        self._app.conf.update(
            # Fail immediately: the relay tracks unsent jobs and retries them.
            task_publish_retry=False,
            broker_connection_retry=False,
            broker_connection_max_retries=0,
            broker_transport_options={
                **self._app.conf.broker_transport_options,
                "max_retries": 0,
            },
        )
        on_redis = settings.celery.broker_url is None
        self._redis = create_blocking_redis(settings.redis, settings.tls) if on_redis else None

    def publish(self, messages: Sequence[Message]) -> list[uuid.UUID]:
        """Publish the jobs, and return the ids of those that the broker may not have received."""
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
        except Exception as error:
            # Every error counts: unsent jobs must be returned, and Kombu does not wrap all driver
            # errors.
            _log(error)
        return [message.id for message in messages[sent:]]

    def _send(self, producer: Any, message: Message, headers: dict[str, str]) -> None:
        self._app.send_task(
            task_name(message.kind),
            task_id=str(message.id),
            queue=message.queue,
            # RabbitMQ delivers higher priorities first.
            priority=message.priority if self._redis else LAST_PRIORITY - message.priority,
            headers=headers,
            retry=False,
            producer=producer,
        )

    def pulse(self, task: str, seconds: float) -> bool:
        """Send a task that is not a job, with an expiry in seconds; returns whether it was sent."""
        try:
            self._app.send_task(task, queue=Queue.DEFAULT.value, expires=seconds, retry=False)
        except Exception as error:
            _log(error)
            return False
        return True

    def epoch(self) -> str:
        """A value that changes when the broker may have lost messages. Raises Unavailable.

        It combines the run id that Redis assigns at each server start with a key that disappears
        with a FLUSHALL. RabbitMQ keeps the messages that it confirmed, so the value is constant.
        """
        if self._redis is None:
            return ""
        with answering():
            self._redis.set(_EPOCH_KEY, str(uuid.uuid4()), nx=True)
            run: Any = self._redis.info("server")
            mark: Any = self._redis.get(_EPOCH_KEY)
        return f"{run['run_id']} {mark!r}"

    def waiting(self) -> dict[tuple[str, int], int]:
        """The number of waiting messages by queue and priority step. Raises Unavailable.

        Empty with RabbitMQ, which only counts whole queues.
        """
        return {} if self._redis is None else lengths(self._redis)

    def close(self) -> None:
        """Close the connections to the broker."""
        self._app.close()
        if self._redis is not None:
            self._redis.close()
