"""Feature flags in a worker: read on demand, at most every FEATURE_FLAGS_POLL_SECONDS."""

import time
import uuid
from functools import cache

from fastapi_base.core.flags import Flag, FlagValue, parse_defaults
from fastapi_base.db.session import Database
from fastapi_base.services.flags.flags import Snapshot
from fastapi_base.tasks import runtime


class WorkerFlags:
    """The flags of a worker process, which has no event loop that could receive changes."""

    def __init__(self, snapshot: Snapshot, seconds: float) -> None:
        self._snapshot = snapshot
        self._seconds = seconds
        self._read_at = -seconds

    async def value[T: FlagValue](
        self, database: Database, flag: Flag[T], user_id: uuid.UUID | None = None
    ) -> T:
        """The flag's value, at most `seconds` old; the last known one during an outage."""
        due = time.monotonic() - self._read_at >= self._seconds
        if due and await self._snapshot.renew(database):
            self._read_at = time.monotonic()
        return self._snapshot.value(flag, user_id)


@cache
def flags() -> WorkerFlags:
    """The flags of this process."""
    given = runtime.settings().flags
    return WorkerFlags(Snapshot(parse_defaults(given.flags)), given.flags_poll_seconds)
