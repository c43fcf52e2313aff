"""Lets a worker process call asynchronous services: one event loop and one connection pool.

Created at the first job of the process, and closed when the process ends. In Celery's prefork and
solo pools the jobs of one process run one after another, so the loop is idle between them. In the
threads pool each job has a thread that waits for it, and all run concurrently on the one loop,
which has its own thread.
"""

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from functools import cache

import structlog
import uvloop

from fastapi_base.core.config import Settings, load_settings
from fastapi_base.core.runtime import background
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import Database, EngineDatabase

log = structlog.stdlib.get_logger(__name__)


class Runtime:
    """The event loop and the database of this process; `name` identifies it in PostgreSQL."""

    def __init__(self, settings: Settings, name: str = "fastapi-base-worker") -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread: threading.Thread | None = None
        if threading.current_thread() is not threading.main_thread():
            # Restarted if something ends it, such as a job's SystemExit: otherwise all jobs would
            # hang.
            self._thread = background.thread("jobs", self._loop.run_forever)
        self._engine = create_engine(settings.database, name, settings.tls)
        self.database: Database = EngineDatabase.of(settings.database, self._engine)

    def run[T](self, work: Callable[[Database], Awaitable[T]]) -> T:
        """Run `work` and return its result."""

        async def whole() -> T:
            return await work(self.database)

        if self._thread is not None:
            return asyncio.run_coroutine_threadsafe(whole(), self._loop).result()
        # Otherwise the runner's own context applies, which lacks the task's context variables.
        return self._runner.run(whole(), context=contextvars.copy_context())

    def close(self) -> None:
        """Close the connections, then the loop."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._runner.run(self._engine.dispose())
        self._runner.close()


@cache
def settings() -> Settings:
    """The settings of this process. tasks/app.py loads them, so forked processes share them."""
    return load_settings()


_runtime: Runtime | None = None
_making = threading.Lock()


def run[T](work: Callable[[Database], Awaitable[T]]) -> T:
    """Run `work` on this process's loop with its database; returns its result."""
    global _runtime
    with _making:
        if _runtime is None:
            _runtime = Runtime(settings())
    return _runtime.run(work)


def close(**_: object) -> None:
    """Close the loop and the database. Celery calls it when a worker's process ends."""
    global _runtime
    if _runtime is not None:
        _runtime.close()
        _runtime = None
        log.info("connections closed")
