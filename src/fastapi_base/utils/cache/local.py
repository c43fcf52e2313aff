"""A bounded tier in the process: no way to Redis, at the price of a short blindness."""

import time
from collections import OrderedDict
from collections.abc import Callable


class LocalTier:
    """The last `size` entries that were read, for `seconds` each.

    What other processes drop is seen only after that time; what this process drops, at once.
    """

    def __init__(
        self, size: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = size
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        # Counts what was dropped, so that what was read before is not kept after.
        self.drops = 0

    def get(self, name: str) -> bytes | None:
        """The entry, if it is there and in its time."""
        found = self._entries.get(name)
        if found is None:
            return None
        until, value = found
        if until <= self._clock():
            del self._entries[name]
            return None
        self._entries.move_to_end(name)
        return value

    def put(self, name: str, value: bytes, drops: int) -> None:
        """Keep an entry that was asked for when `drops` had this value."""
        if drops != self.drops or not self._size:
            return
        self._entries[name] = (self._clock() + self._seconds, value)
        self._entries.move_to_end(name)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, names: tuple[str, ...], *, everything: bool) -> None:
        """Forget these, or all: which entries have a tag is not known here."""
        self.drops += 1
        if everything:
            self._entries.clear()
        for name in names:
            self._entries.pop(name, None)
