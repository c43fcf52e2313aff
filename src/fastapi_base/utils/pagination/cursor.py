"""Cursors: positions in a list, opaque to who carries them and sealed against changes."""

import base64
import binascii
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

MAX_LENGTH = 2048
_PURPOSE = b"keyset cursor 1"
_SEAL = 16


class InvalidCursor(ValueError):
    """Not a cursor that was sealed for this list in this order."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place between rows, told by the sort values of a row that need not exist any more.

    `backward` is the way to go from there; `inclusive` whether that row itself is on the way.
    """

    values: tuple[Any, ...]
    backward: bool = False
    inclusive: bool = False

    @property
    def shape(self) -> Hashable:
        """What the statement for this place depends on, beside the values themselves."""
        return self.backward, self.inclusive, *(value is None for value in self.values)


class CursorCodec:
    """Seals positions with HMAC-SHA-256, cut to 128 bits (RFC 2104, 5).

    The first secret seals; all are accepted, so that secrets can be changed while cursors are out.
    The key is derived from the secret for this purpose alone: what is sealed here is good for
    nothing else, and the other way. Cursors are not encrypted: they hold the sort values of a row
    that their holder has been shown.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._keys = [hmac.digest(secret, _PURPOSE, hashlib.sha256) for secret in secrets]

    def seal(self, position: Position, context: str) -> str:
        """The position as text for URLs; `context` names the list and its order.

        Raises TypeError for a value of a type that cannot be sorted by here, and ValueError for
        values that are too long.
        """
        flags = position.backward << 1 | position.inclusive
        body = json.dumps(
            [flags, *(_written(value) for value in position.values)], separators=(",", ":")
        ).encode()
        sealed = _text(_seal(self._keys[0], context, body) + body)
        if len(sealed) > MAX_LENGTH:
            raise ValueError(f"sort values make a cursor of more than {MAX_LENGTH} characters")
        return sealed

    def open(self, cursor: str, context: str) -> Position:
        """The position that was sealed for this context. Raises InvalidCursor for anything else."""
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars="-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidCursor from error
        if _text(raw) != cursor:  # base64 has other spellings of the same bytes
            raise InvalidCursor
        seal, body = raw[:_SEAL], raw[_SEAL:]
        if not any(hmac.compare_digest(seal, _seal(key, context, body)) for key in self._keys):
            raise InvalidCursor
        flags, *values = json.loads(body)
        return Position(
            tuple(_read(value) for value in values),
            backward=bool(flags & 2),
            inclusive=bool(flags & 1),
        )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _seal(key: bytes, context: str, body: bytes) -> bytes:
    named = context.encode()
    # The length in front: no other context and body give the same bytes.
    message = len(named).to_bytes(4) + named + body
    return hmac.digest(key, message, hashlib.sha256)[:_SEAL]


# What JSON cannot hold goes as text behind a letter. bool before int, datetime before date: each is
# a subclass of the other.
_KINDS: dict[type, tuple[str, Callable[[Any], str], Callable[[str], Any]]] = {
    bool: ("b", lambda value: "1" if value else "", bool),
    int: ("i", str, int),
    float: ("f", repr, float),
    Decimal: ("n", str, Decimal),
    datetime: ("t", datetime.isoformat, datetime.fromisoformat),
    date: ("d", date.isoformat, date.fromisoformat),
    uuid.UUID: ("u", str, uuid.UUID),
    str: ("s", str, str),
}
_READERS = {letter: read for letter, _, read in _KINDS.values()}


def _written(value: Any) -> str | None:
    if value is None:
        return None
    for kind, (letter, write, _) in _KINDS.items():
        if isinstance(value, kind):
            return letter + write(value)
    raise TypeError(f"lists cannot be sorted by values of type {type(value).__name__}")


def _read(text: str | None) -> Any:
    return None if text is None else _READERS[text[0]](text[1:])
