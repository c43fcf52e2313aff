"""What a worker process needs to call asynchronous services: one event loop and one pool.

Made at the first job of the process, and closed when the process ends. In Celery's pools prefork
and solo the jobs of one process run one after another, so the loop is idle between them. In its
pool of threads each job has a thread that waits for it, and all run at once on the one loop, which
has a thread of its own.
"""

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from functools import cache

import structlog
import uvloop

from fastapi_base.core.config import Settings
from fastapi_base.db.database import Database, EngineDatabase
from fastapi_base.db.engine import create_engine

log = structlog.stdlib.get_logger(__name__)


class Runtime:
    """The event loop and the database of this process, which PostgreSQL knows by the name."""

    def __init__(self, settings: Settings, name: str = "fastapi-base-worker") -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread: threading.Thread | None = None
        if threading.current_thread() is not threading.main_thread():
            self._thread = threading.Thread(target=self._loop.run_forever, name="jobs", daemon=True)
            self._thread.start()
        self._engine = create_engine(settings.database, name)
        self.database: Database = EngineDatabase.of(settings.database, self._engine)

    def run[T](self, work: Callable[[Database], Awaitable[T]]) -> T:
        """What `work` returns."""

        async def whole() -> T:
            return await work(self.database)

        if self._thread is not None:
            return asyncio.run_coroutine_threadsafe(whole(), self._loop).result()
        # Else the runner's own context counts, which knows nothing of the task.
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
    """The settings of this process, as tasks/app.py read them."""
    return Settings.load()


_runtime: Runtime | None = None
_making = threading.Lock()


def run[T](work: Callable[[Database], Awaitable[T]]) -> T:
    """What `work` returns, on this process's loop and with its database."""
    global _runtime
    with _making:
        if _runtime is None:
            _runtime = Runtime(settings())
    return _runtime.run(work)


def close(**_: object) -> None:
    """Close what was opened. Celery calls it when a worker's process ends."""
    global _runtime
    if _runtime is not None:
        _runtime.close()
        _runtime = None
        log.info("connections closed")
