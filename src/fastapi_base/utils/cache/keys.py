"""What is kept, under which names, and for how long."""

import random
import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter

PREFIX = "cache:"
# The share of its time that an entry may lose, so that what came at once does not go at once.
JITTER = 0.1


def owner_tag(owner: uuid.UUID) -> str:
    """The tag of all entries that belong to this account."""
    return f"owner={owner}"


@dataclass(frozen=True, slots=True)
class Key[T]:
    """The name of one entry, and what it depends on beside itself."""

    namespace: "Namespace[T]"
    name: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Namespace[T]:
    """Entries of one kind.

    Raise `version` when the same values come to mean something else: old entries are then never
    read again. Times are in seconds. An entry is fresh for `ttl`, less up to a tenth by chance. For
    `stale` seconds more it is still an answer while one reader renews it. `absent` is how long it
    is known that there is nothing; 0 asks each time.
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
        """A value as JSON."""
        return self._adapter.dump_json(value)

    def read(self, text: bytes) -> T:
        """The value. Raises ValidationError."""
        found: T = self._adapter.validate_json(text)
        return found

    def key(self, owner: uuid.UUID | None, *parts: object, tags: tuple[str, ...] = ()) -> Key[T]:
        """The entry of this account under these parts; None is what is the same for everybody.

        Whose it is stands in the name and cannot be left out, and no part reaches beyond its place.
        """
        whose = "everybody" if owner is None else str(owner)
        words = [self.name, str(self.version), whose, *(quote(str(p), safe="") for p in parts)]
        mine = () if owner is None else (owner_tag(owner),)
        return Key(self, PREFIX + ":".join(words), (*mine, *tags))

    def life(self, *, there: bool) -> tuple[float, float]:
        """How long a new entry lives, and for how long of that, at its end, it is stale."""
        if not there:
            return self.absent, 0
        # Spreading load needs no cryptography.
        shorter = self.ttl * JITTER * random.random()  # noqa: S311
        return self.ttl - shorter + self.stale, self.stale
