"""Beat: Celery's scheduler process, with its state in PostgreSQL.

Celery provides the command, the signals and the loop; services/jobs/firing.py decides what is due
and ensures that it fires once. Any number of Beats may run.
"""

import signal
from datetime import timedelta
from typing import Any

import structlog
from celery import beat

from fastapi_base.core.errors import Unavailable
from fastapi_base.core.messaging.publisher import Publisher
from fastapi_base.core.messaging.queues import task_name
from fastapi_base.core.observability import reporting
from fastapi_base.db.session import Database
from fastapi_base.services.jobs.firing import Turn, turn
from fastapi_base.tasks import runtime
from fastapi_base.tasks.failing import report
from fastapi_base.tasks.schedules import schedules
from fastapi_base.utils.timeouts import time_limit

log = structlog.stdlib.get_logger(__name__)

PAUSE_SECONDS = 1.0
# A silently broken connection would otherwise block for much longer.
TURN_SECONDS = 20.0


class Scheduler(beat.Scheduler):  # type: ignore[misc]
    """The scheduler that Celery's Beat calls periodically. `beat_schedule` is ignored."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Celery also creates one to print its banner; this one connects on first use.
        self._settings = runtime.settings()
        self._schedules = schedules(self._settings)
        self._runtime: runtime.Runtime | None = None
        self._publisher: Publisher | None = None
        self._in_turn = False
        self._ended = False

    def setup_schedule(self) -> None:
        """Load nothing: Celery stores no schedule."""

    def tick(self, **_: Any) -> float:
        """Fire due schedules. Returns the seconds until the next call."""
        if self._runtime is None:
            self._runtime = runtime.Runtime(self._settings, "fastapi-base-beat")
            self._publisher = Publisher(self._settings)
            reporting.start(self._settings)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._end)
            log.info("beat started")
        self._in_turn = True
        try:
            done = self._runtime.run(self._turn)
        except Exception as error:
            # Any error: nothing would be scheduled while no Beat runs.
            report(log, "beat cannot work", error)
            return PAUSE_SECONDS
        finally:
            self._in_turn = False
            if self._ended:
                raise SystemExit
        assert self._publisher is not None
        for name in done.tasks:
            self._publisher.pulse(task_name(name), self._settings.celery.heartbeat_seconds)
        return done.wait.total_seconds()

    def close(self) -> None:
        """Close the connections."""
        super().close()
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None
            reporting.stop()
            log.info("beat stopped")

    def _end(self, *_: Any) -> None:
        """Handle signals instead of Celery, which would interrupt the running event loop."""
        self._ended = True
        if not self._in_turn:
            raise SystemExit

    async def _turn(self, database: Database) -> Turn:
        longest = timedelta(seconds=self._settings.jobs.sweep_seconds)
        late = Unavailable(f"the database did not answer in {TURN_SECONDS:g} s")
        async with time_limit(TURN_SECONDS, late):
            return await turn(database, self._schedules, longest)
