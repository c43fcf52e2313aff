"""The relay: publishes committed jobs to the broker, and republishes lost ones.

Any number of relays may run. PostgreSQL wakes them when jobs are added (NOTIFY); each also sweeps
every JOBS_SWEEP_SECONDS, for jobs that became due and for lost notifications.
"""

import asyncio
import contextlib
import logging
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import structlog
from redis.asyncio import Redis

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Unavailable
from fastapi_base.core.messaging.publisher import Publisher
from fastapi_base.core.messaging.queues import task_name
from fastapi_base.core.messaging.redis import answering, create_redis
from fastapi_base.core.observability import reporting, tracing
from fastapi_base.core.observability.logging import log_ready, watch_levels
from fastapi_base.core.runtime import background
from fastapi_base.db.engine import create_engine
from fastapi_base.db.failures import UNAVAILABLE
from fastapi_base.db.listen import listen
from fastapi_base.db.session import Database, EngineDatabase
from fastapi_base.models.jobs.job import CHANNEL
from fastapi_base.services.health import heartbeat
from fastapi_base.services.jobs import deaths, outbox
from fastapi_base.tasks.failing import report

log = structlog.stdlib.get_logger(__name__)
_ready = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
# The pause before the next turn while more jobs wait than one turn may publish.
REFILL_SECONDS = 0.05
# How long running jobs are not recovered after the database was unavailable.
RECOVER_SECONDS = 10.0
BEAT_SECONDS = 5.0
# A turn has its own limits of some seconds each; one that takes this long hangs.
STUCK_SECONDS = 120.0
ALIVE = Path(tempfile.gettempdir()) / "fastapi-base-relay.alive"


class Relay:
    """One relay."""

    def __init__(self, settings: Settings, database: Database, publisher: Publisher) -> None:
        self._settings = settings.jobs
        self._limits = outbox.Limits(settings.jobs.batch, settings.jobs.window, settings.jobs.apart)
        self._patience = settings.celery.publish_timeout
        self._database = database
        self._publisher = publisher
        # Celery's client blocks: the publisher has one thread of its own.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publisher")
        self._epoch: str | None = None
        # In loop.time(). After a database outage, workers first record the state of their jobs.
        self._recover_from = 0.0
        self._crashing: list[str] = []
        self.wake = asyncio.Event()
        # When the last turn ended that succeeded or only waited for servers, in loop.time().
        self.turned_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop` is set; jobs taken by then are published or given back."""
        loop = asyncio.get_running_loop()
        next_sweep = 0.0
        self.turned_at = loop.time()
        while not stop.is_set():
            self.wake.clear()
            try:
                if loop.time() >= next_sweep:
                    await self.sweep()
                    next_sweep = loop.time() + self._settings.sweep_seconds
                published = await self.publish()
            except Exception as error:
                # Any error: jobs would wait while no relay runs. If only such turns follow, the
                # relay shows no progress, and its supervisor restarts it.
                report(log, "the relay cannot work", error)
                if isinstance(error, UNAVAILABLE):
                    self.turned_at = loop.time()
                self._recover_from = loop.time() + RECOVER_SECONDS
                await _first(PAUSE_SECONDS, stop)
                continue
            self.turned_at = loop.time()
            if published < self._settings.batch:
                # The broker's window may have space for more soon.
                pause = REFILL_SECONDS if published else max(0.0, next_sweep - loop.time())
                await _first(pause, stop, self.wake)

    async def publish(self) -> int:
        """Publish due jobs. Returns their number. Raises Unavailable if the broker is down."""
        if self._crashing and (count := await deaths.suspect(self._database, self._crashing)):
            log.warning("jobs run apart: others of their kinds ended processes", jobs=count)
        messages = await outbox.take(self._database, self._limits)
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
        """Recover lost jobs: lost by a restarted broker, by dead workers, or otherwise."""
        known = asyncio.get_running_loop().time() >= self._recover_from
        if known and (recovered := await deaths.recover(self._database)):
            log.warning("workers died", jobs=[str(job_id) for job_id in recovered])
        self._crashing = await deaths.crashing_kinds(self._database)
        epoch = await self._blocking(self._publisher.epoch)
        if self._epoch is not None and epoch != self._epoch:
            count = await outbox.republish_all(self._database)
            log.warning("the broker was restarted or lost its data", published_again=count)
        self._epoch = epoch
        lease = timedelta(seconds=self._settings.lease_seconds)
        waiting = await self._blocking(self._publisher.waiting)
        if count := await outbox.republish(self._database, lease, self._settings.batch, waiting):
            log.warning("jobs were not started in time", published_again=count)

    async def _blocking[T](self, call: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        # No time limit here: the client's own limits bound each step, and a thread cannot be
        # stopped.
        return await loop.run_in_executor(self._thread, call)

    def close(self) -> None:
        """Stop the thread and close the connections to the broker."""
        self._thread.submit(self._publisher.close).result(self._patience)
        self._thread.shutdown()


@contextlib.asynccontextmanager
async def open_relay(settings: Settings) -> AsyncIterator[Relay]:
    """A relay with its connections, which receives notifications of new jobs while it is open."""
    engine = create_engine(settings.database, "fastapi-base-relay", settings.tls)
    database = EngineDatabase.of(settings.database, engine)
    # After the engine is created: its statements belong to no request and need no spans.
    tracing.start(settings, "fastapi-base-relay")
    relay = Relay(settings, database, Publisher(settings))
    # PgBouncer reassigns connections, so LISTEN does not work; the sweep replaces it there.
    listening = (
        None
        if settings.database.pgbouncer
        else asyncio.create_task(listen(engine, CHANNEL, lambda _: relay.wake.set()))
    )
    redis = create_redis(settings.redis, settings.tls)
    longest = settings.jobs.sweep_seconds + STUCK_SECONDS
    try:
        async with background.running(
            "relay-heartbeat", lambda: _beats(relay, redis, longest), expected=(Unavailable,)
        ):
            yield relay
    finally:
        await redis.aclose()
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        relay.close()
        await engine.dispose()
        await asyncio.to_thread(tracing.stop)


async def _beats(relay: Relay, redis: Redis, longest: float) -> None:
    """Report that the relay works, while its turns succeed or only wait for servers.

    It touches a file, which the probe of its container reads (ops/images/probe.py), and writes to
    Redis, where the API's health check reads it.
    """
    loop = asyncio.get_running_loop()
    while True:
        if loop.time() - relay.turned_at < longest:
            ALIVE.touch()
            with answering():
                await heartbeat.beat(redis, heartbeat.RELAY_KEY)
        await asyncio.sleep(BEAT_SECONDS)


def _published(message: outbox.Message) -> dict[str, str]:
    """The log event of a published job: ids only, so there is nothing to redact."""
    event = {"event": "published", "task": task_name(message.kind), "task_id": str(message.id)}
    if message.request_id:
        event["request_id"] = message.request_id
    if trace := (message.trace or {}).get("traceparent"):
        event["trace_id"] = trace.split("-")[1]
    return event


async def _first(seconds: float, *events: asyncio.Event) -> None:
    """Wait for the first of the events, or for `seconds`."""
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
