"""A bounded in-process tier, which avoids the round trip to Redis."""

import time
from collections import OrderedDict
from collections.abc import Callable


class LocalTier:
    """The `size` most recently used entries, for `seconds` each.

    As in Redis, an entry with another label than the reader's is ignored.
    """

    def __init__(
        self, size: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = size
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, str, bytes]] = OrderedDict()

    def get(self, name: str, label: str) -> bytes | None:
        """The entry, if it is present, not expired, and has this label."""
        found = self._entries.get(name)
        if found is None:
            return None
        until, kept, value = found
        if until <= self._clock():
            del self._entries[name]
            return None
        if kept != label:
            return None
        self._entries.move_to_end(name)
        return value

    def put(self, name: str, label: str, value: bytes) -> None:
        """Store an entry."""
        if not self._size:
            return
        self._entries[name] = (self._clock() + self._seconds, label, value)
        self._entries.move_to_end(name)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, *names: str) -> None:
        """Remove entries."""
        for name in names:
            self._entries.pop(name, None)
