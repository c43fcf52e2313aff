"""Repeatable choices for a seed, fast enough for a million rows."""

import random
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from ops.dev.seed.base import Factory

type Row = tuple[Any, ...]
#: Factories and Faker make at most this many values of a kind; further rows combine them.
_POOL = 2000
_DAYS = 180


class Dice:
    """Random choices that depend only on ``seed``, and times before ``now``."""

    def __init__(self, seed: int, now: datetime) -> None:
        self.now = now
        self.seed = seed
        self._random = random.Random(seed)  # noqa: S311
        self._next = self._random.random
        self.users: list[uuid.UUID] = []
        Factory.seed_random(seed)

    def pool[T](self, count: int, make: Callable[[], T]) -> list[T]:
        """Values for this many rows to choose from."""
        return [make() for _ in range(min(count, _POOL))]

    def pick[T](self, values: Sequence[T]) -> T:
        """One of the values."""
        return values[int(self._next() * len(values))]

    def below(self, limit: int) -> int:
        """0 or more, below the limit."""
        return int(self._next() * limit)

    def one_in(self, number: int) -> bool:
        """True for one row in so many."""
        return self._next() * number < 1

    def past(self) -> datetime:
        """A time in the last half year; recent ones are more frequent."""
        return self.now - timedelta(days=_DAYS * self._next() ** 2, seconds=1)

    def owner(self) -> uuid.UUID:
        """An account: few have much, and most have little."""
        return self.users[int(self._next() ** 3 * len(self.users))]

    def id(self, created: datetime) -> uuid.UUID:
        """A version 7 UUID of this time."""
        value = int(created.timestamp() * 1000) << 80 | self._random.getrandbits(80)
        value = value & ~(0xF << 76) | 0x7 << 76
        return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)
