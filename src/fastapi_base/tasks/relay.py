"""The relay: hands jobs that were committed to the broker, and those that got lost once more.

Any number of relays may run. PostgreSQL wakes them when jobs are added (NOTIFY); each also looks by
itself every JOBS_SWEEP_SECONDS, for jobs whose time has come and for what a lost notice told of.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import structlog

from fastapi_base.core import reporting, tracing
from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Unavailable
from fastapi_base.core.logging import log_ready, watch_levels
from fastapi_base.core.queue import Publisher
from fastapi_base.core.queues import task_name
from fastapi_base.db.database import Database, EngineDatabase
from fastapi_base.db.engine import create_engine
from fastapi_base.db.failures import AWAY, reason
from fastapi_base.db.listen import listen
from fastapi_base.models.job import CHANNEL
from fastapi_base.services.jobs import outbox

log = structlog.stdlib.get_logger(__name__)
_ready = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0


class Relay:
    """One relay."""

    def __init__(self, settings: Settings, database: Database, publisher: Publisher) -> None:
        self._settings = settings.jobs
        self._patience = settings.celery.publish_timeout
        self._database = database
        self._publisher = publisher
        # Celery's client blocks: one thread, which is the publisher's.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publisher")
        self._epoch: str | None = None
        self.wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until it is told to stop; what was taken by then is published, or given back."""
        loop = asyncio.get_running_loop()
        next_sweep = 0.0
        while not stop.is_set():
            self.wake.clear()
            try:
                if loop.time() >= next_sweep:
                    await self.sweep()
                    next_sweep = loop.time() + self._settings.sweep_seconds
                while await self.publish() == self._settings.batch and not stop.is_set():
                    pass
            except AWAY as error:
                log.warning("the relay cannot work", reason=reason(error))
                await _first(PAUSE_SECONDS, stop)
                continue
            await _first(max(0.0, next_sweep - loop.time()), stop, self.wake)

    async def publish(self) -> int:
        """Publish jobs that are due; how many. Raises Unavailable when the broker is away."""
        messages = await outbox.take(self._database, self._settings.batch)
        if not messages:
            return 0
        left = await self._blocking(lambda: self._publisher.publish(messages))
        for message in messages[: len(messages) - len(left)]:
            log_ready(_ready, _published(message))
        if left:
            await outbox.give_back(self._database, left)
            raise Unavailable(f"the broker does not answer; jobs given back: {len(left)}")
        return len(messages)

    async def sweep(self) -> None:
        """Look for what was lost: by a broker that began anew, by workers that died, by chance."""
        if recovered := await outbox.recover(self._database):
            log.warning("workers died", jobs=[str(job_id) for job_id in recovered])
        epoch = await self._blocking(self._publisher.epoch)
        if self._epoch is not None and epoch != self._epoch:
            count = await outbox.republish_all(self._database)
            log.warning("the broker began anew", published_again=count)
        self._epoch = epoch
        lease = timedelta(seconds=self._settings.lease_seconds)
        if count := await outbox.republish(self._database, lease, self._settings.batch):
            log.warning("jobs were not begun in time", published_again=count)

    async def _blocking[T](self, call: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        # No time limit here: the client's own bound each step, and a thread cannot be stopped.
        return await loop.run_in_executor(self._thread, call)

    def close(self) -> None:
        """End the thread and the connections to the broker."""
        self._thread.submit(self._publisher.close).result(self._patience)
        self._thread.shutdown()


@contextlib.asynccontextmanager
async def open_relay(settings: Settings) -> AsyncIterator[Relay]:
    """A relay with its connections, which hears of new jobs while it is open."""
    engine = create_engine(settings.database, "fastapi-base-relay")
    database = EngineDatabase.of(settings.database, engine)
    # After the engine, whose statements belong to no request and need no spans.
    tracing.start(settings, "fastapi-base-relay")
    relay = Relay(settings, database, Publisher(settings))
    # PgBouncer's connections change hands, so nobody can listen on one: there the sweep has to do.
    listening = (
        None
        if settings.database.pgbouncer
        else asyncio.create_task(listen(engine, CHANNEL, lambda _: relay.wake.set()))
    )
    try:
        yield relay
    finally:
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        relay.close()
        await engine.dispose()
        await asyncio.to_thread(tracing.stop)


def _published(message: outbox.Message) -> dict[str, str]:
    """What the log says of a job that the broker has: ids alone, so there is nothing to redact."""
    event = {"event": "published", "task": task_name(message.kind), "task_id": str(message.id)}
    if message.request_id:
        event["request_id"] = message.request_id
    if trace := (message.trace or {}).get("traceparent"):
        event["trace_id"] = trace.split("-")[1]
    return event


async def _first(seconds: float, *events: asyncio.Event) -> None:
    """Wait for the first of the events, or so many seconds."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def serve(settings: Settings) -> None:
    """Run a relay until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watch_levels(settings.log)
    reporting.start(settings)
    try:
        async with open_relay(settings) as relay:
            log.info("relay started")
            await relay.run(stop)
    except Exception as error:
        reporting.capture(error)
        raise
    finally:
        await asyncio.to_thread(reporting.stop)
    log.info("relay stopped")
