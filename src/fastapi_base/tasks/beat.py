"""Beat: Celery's process, whose memory is in PostgreSQL.

Celery gives the command, the signals and the loop; what is due, and that it is done once, is
services/jobs/firing.py. Any number of them may run.
"""

import asyncio
import signal
from datetime import timedelta
from typing import Any

import structlog
from celery import beat

from fastapi_base.core.queue import Publisher
from fastapi_base.core.queues import task_name
from fastapi_base.db.database import Database
from fastapi_base.db.failures import AWAY, reason
from fastapi_base.services.jobs.firing import Turn, turn
from fastapi_base.tasks import runtime
from fastapi_base.tasks.schedules import schedules

log = structlog.stdlib.get_logger(__name__)

PAUSE_SECONDS = 1.0
# A connection that was cut off without a word says nothing for much longer.
TURN_SECONDS = 20.0


class Scheduler(beat.Scheduler):  # type: ignore[misc]
    """What Celery's Beat asks again and again. `beat_schedule` is not read."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Celery makes one to print its banner too; this connects on first use.
        self._settings = runtime.settings()
        self._schedules = schedules(self._settings)
        self._runtime: runtime.Runtime | None = None
        self._publisher: Publisher | None = None
        self._in_turn = False
        self._ended = False

    def setup_schedule(self) -> None:
        """Nothing that Celery would keep."""

    def tick(self, **_: Any) -> float:
        """Do what is due; seconds until the next call."""
        if self._runtime is None:
            self._runtime = runtime.Runtime(self._settings, "fastapi-base-beat")
            self._publisher = Publisher(self._settings)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._end)
            log.info("beat started")
        self._in_turn = True
        try:
            done = self._runtime.run(self._turn)
        except AWAY as error:
            log.warning("beat cannot work", reason=reason(error))
            return PAUSE_SECONDS
        finally:
            self._in_turn = False
            if self._ended:
                raise SystemExit
        for name in done.tasks:
            self._pulse(name)
        return done.wait.total_seconds()

    def close(self) -> None:
        """Close the connections."""
        super().close()
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None
            log.info("beat stopped")

    def _end(self, *_: Any) -> None:
        """Takes signals, in place of Celery's, which would end the event loop in its middle."""
        self._ended = True
        if not self._in_turn:
            raise SystemExit

    async def _turn(self, database: Database) -> Turn:
        longest = timedelta(seconds=self._settings.jobs.sweep_seconds)
        async with asyncio.timeout(TURN_SECONDS):
            return await turn(database, self._schedules, longest)

    def _pulse(self, name: str) -> None:
        assert self._publisher is not None
        if not self._publisher.pulse(task_name(name), self._settings.celery.heartbeat_seconds):
            log.warning("the broker does not answer", not_sent=name)
