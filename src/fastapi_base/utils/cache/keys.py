"""Cache namespaces: names, contents and lifetimes of entries."""

import random
import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter

PREFIX = "cache:"
# The maximum fraction by which a lifetime is shortened, so that entries do not expire
# simultaneously.
JITTER = 0.1
# The version of the data that an entry depends on, from the database; None before any change.
type Stamp = int | None


@dataclass(frozen=True, slots=True)
class Key[T]:
    """The name of one entry."""

    namespace: "Namespace[T]"
    name: str

    @property
    def lease(self) -> str:
        """The name of the lease that its loader holds."""
        return f"{self.name}!"


@dataclass(frozen=True)
class Namespace[T]:
    """Entries of one kind.

    Increment `version` if the meaning of the values changes: older entries are then never read
    again. Times are in seconds. An entry is fresh for `ttl`, shortened by a random amount of up to
    10 %. For `stale` further seconds it is still returned while one reader renews it. `absent` is
    how long the absence of a value is cached; 0 disables that.
    """

    name: str
    version: int
    kind: type[T]
    ttl: float
    stale: float = 0
    absent: float = 0

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.kind)

    def write(self, value: object) -> bytes:
        """Serialise a value to JSON."""
        return self._adapter.dump_json(value)

    def read(self, text: bytes) -> T:
        """Parse a value. Raises ValidationError."""
        found: T = self._adapter.validate_json(text)
        return found

    def key(self, owner: uuid.UUID | None, *parts: object) -> Key[T]:
        """The key of an entry of this account; `owner` None means shared by all accounts.

        The owner is always part of the name, and parts are encoded, so that no part can affect
        another.
        """
        whose = "everybody" if owner is None else str(owner)
        words = [self.name, str(self.version), whose, *(quote(str(p), safe="") for p in parts)]
        return Key(self, PREFIX + ":".join(words))

    def life(self, *, there: bool) -> tuple[float, float]:
        """The lifetime of a new entry, and how long it is stale at the end of it, in seconds."""
        if not there:
            return self.absent, 0
        # Jitter needs no cryptographic randomness.
        shorter = self.ttl * JITTER * random.random()  # noqa: S311
        return self.ttl - shorter + self.stale, self.stale
