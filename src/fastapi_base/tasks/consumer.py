"""Celery's consumer, restarted after every broker error instead of ending the worker.

Celery reconnects only after errors that indicate a lost connection. A Redis server that was
demoted, cannot write its snapshot or refuses a command returns other errors, which would end the
worker.
"""

import random
import time
from typing import Any

import structlog
from celery.exceptions import WorkerLostError
from celery.worker import consumer

from fastapi_base.core.observability import reporting

log = structlog.stdlib.get_logger(__name__)

# The pause between two connections. Half of it is jitter, so that workers do not reconnect at once.
PAUSE_SECONDS = 1.0


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """The worker's connection to the broker, for the setting `worker_consumer`.

    Every error, except that the pool could not start, closes the connection and opens a new one
    after a pause, for as long as the worker runs. Running jobs continue.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        broker = self.conninfo
        self._expected = (*broker.connection_errors, *broker.channel_errors)
        # The errors that Celery treats as a lost connection.
        self.connection_errors: tuple[type[Exception], ...] = (Exception,)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Called if no connection could be made."""
        super().on_connection_error_before_connected(exc)
        self._pause(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Called if a connection failed. Raises `exc` if the worker has no processes."""
        if isinstance(exc, WorkerLostError):
            raise exc
        try:
            super().on_connection_error_after_connected(exc)
        except Exception as error:
            # The old connection could not be closed cleanly; it is no longer needed.
            log.warning("a failed connection could not be closed", reason=repr(error))
        self._pause(exc)

    def call_soon_ack(self, p: Any, *args: Any, **kwargs: Any) -> Any:
        """Acknowledge or reject a message, and reconnect if the broker refuses.

        The channel counts an unacknowledged message as in progress: after a few of those it would
        fetch no more. Messages of an earlier connection do not count; the broker redelivers them.
        """

        def settle() -> None:
            # Celery logs the error, and raises none of `connection_errors`.
            p(*args, **kwargs)
            message = p.__self__
            if not message.acknowledged and message.channel is self.task_consumer.channel:
                raise ConnectionError("a message could not be acknowledged")

        return super().call_soon_ack(settle)

    def _pause(self, exc: Exception) -> None:
        if not isinstance(exc, self._expected):
            log.error("the connection to the broker failed unexpectedly", exc_info=exc)
            reporting.capture(exc)
        time.sleep(PAUSE_SECONDS * random.uniform(0.5, 1))  # noqa: S311  no secret
