"""Feature flags in a worker: read when a task asks, at most every few seconds."""

import time
import uuid
from functools import cache

import structlog

from fastapi_base.core.errors import Unavailable
from fastapi_base.core.flags import Flag, FlagValue, parse_defaults
from fastapi_base.db.database import Database
from fastapi_base.services.flags import Snapshot
from fastapi_base.tasks import runtime

log = structlog.stdlib.get_logger(__name__)


class WorkerFlags:
    """What a process of a worker knows. It has no loop of its own that could be told of changes."""

    def __init__(self, snapshot: Snapshot, seconds: float) -> None:
        self._snapshot = snapshot
        self._seconds = seconds
        self._read_at = -seconds

    async def value[T: FlagValue](
        self, database: Database, flag: Flag[T], user_id: uuid.UUID | None = None
    ) -> T:
        """What the flag was at most so many seconds ago; last, where the database is down."""
        if time.monotonic() - self._read_at >= self._seconds:
            try:
                await self._snapshot.read_from(database)
            except Unavailable as error:
                log.warning("flags are not fresh: the database does not answer", error=str(error))
            else:
                self._read_at = time.monotonic()
        return self._snapshot.value(flag, user_id)


@cache
def flags() -> WorkerFlags:
    """Those of this process."""
    given = runtime.settings().flags
    return WorkerFlags(Snapshot(parse_defaults(given.flags)), given.flags_poll_seconds)
