"""The queue of background work, from the side that fills it: Celery by task name.

The API imports no task: it sends by name, and workers (tasks/) know what the names mean. Celery's
client blocks, so its calls run in few threads with an end to the queue and to the waiting.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from celery import Celery
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from fastapi_base.core import tracing
from fastapi_base.core.broker import Broker
from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Unavailable
from fastapi_base.core.executor import BoundedExecutor

REQUEST_ID_HEADER = "fastapi_base_request_id"
HEARTBEAT_KEY = "fastapi-base:heartbeat"
_NO_RETRY = {"retry_policy": {"max_retries": 0}}
_DOWN = (CeleryError, KombuError, RedisError, OSError)


def celery_app(name: str, settings: Settings) -> Celery:
    """A Celery application, configured alike for who sends and who works."""
    broker = Broker.of(settings)
    app = Celery(name, broker=broker.url, backend=broker.results_url, set_as_current=False)
    app.conf.update(celery_config(settings))
    return app


def celery_config(settings: Settings) -> dict[str, Any]:
    """Celery's configuration: JSON only, nothing lost when a worker dies, everything bounded."""
    limits = settings.celery
    broker = Broker.of(settings)
    return {
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "enable_utc": True,
        "timezone": "UTC",
        "task_default_queue": "fastapi-base",
        # At least once: acknowledge after the work, and give it back when the worker is killed.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "broker_transport_options": broker.options,
        "result_backend_transport_options": broker.results_options,
        "broker_connection_retry_on_startup": True,
        "task_soft_time_limit": limits.task_soft_time_limit,
        "task_time_limit": limits.task_time_limit,
        "task_track_started": True,
        "result_expires": limits.result_expires,
        "redis_socket_timeout": settings.redis.timeout,
        "redis_socket_connect_timeout": settings.redis.connect_timeout,
        "worker_concurrency": limits.concurrency,
        "worker_max_tasks_per_child": limits.max_tasks_per_child,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


class TaskQueue:
    """Sends tasks and reads their results without blocking the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._timeout = settings.celery.publish_timeout
        self._results = celery_app("fastapi_base.results", settings)
        self._results.conf.update(
            result_backend_transport_options={
                **self._results.conf.result_backend_transport_options,
                **_NO_RETRY,
            }
        )
        self._app = celery_app("fastapi_base.client", settings)
        self._app.conf.update(
            # With a backend, Celery subscribes to the result of each task it sends, and never ends.
            result_backend="disabled",
            # A caller waits for the answer: fail at once, and let the caller try again.
            task_publish_retry=False,
            broker_connection_retry=False,
            broker_connection_max_retries=0,
            broker_transport_options={
                **self._app.conf.broker_transport_options,
                "socket_timeout": settings.redis.timeout,
                "max_retries": 0,
            },
        )
        self._executor = BoundedExecutor("queue", threads=4, queue=64)

    async def send(self, task: str, task_id: str, arguments: Sequence[Any]) -> None:
        """Enqueue the task of this name. Raises Unavailable (it may still run) or Overloaded."""

        # Taken here, since the thread has no part in the request's context.
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        headers = {REQUEST_ID_HEADER: request_id} if request_id else {}

        def publish() -> None:
            self._app.send_task(
                task, args=list(arguments), task_id=task_id, headers=headers, retry=False
            )

        with tracing.sending(task, task_id) as carried:
            headers |= carried
            await self._call(publish)

    async def result(self, task_id: str) -> tuple[str, Any]:
        """Celery's state of the task, and its result or exception. Unknown tasks are PENDING."""

        def read() -> tuple[str, Any]:
            meta = self._results.backend.get_task_meta(task_id)
            return str(meta["status"]), meta.get("result")

        return await self._call(read)

    async def _call[T](self, call: Any) -> T:
        try:
            result: T = await self._executor.run_within(self._timeout, call)
        except _DOWN as error:
            raise Unavailable("the queue does not answer") from error
        return result

    def close(self) -> None:
        """Close connections and threads."""
        self._executor.close()
        self._app.close()
        self._results.close()
