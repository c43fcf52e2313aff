"""Cursors: positions in a list, opaque to clients and signed against modification."""

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
_SIGNATURE_BYTES = 16


class InvalidCursor(ValueError):
    """Not a cursor that was issued for this list in this order."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place between rows, given by the sort values of a row that may no longer exist.

    `backward` is the direction; `inclusive` is whether that row itself belongs to the page.
    """

    values: tuple[Any, ...]
    backward: bool = False
    inclusive: bool = False

    @property
    def shape(self) -> Hashable:
        """What the statement for this position depends on, apart from the values."""
        return self.backward, self.inclusive, *(value is None for value in self.values)


class CursorCodec:
    """Signs positions with HMAC-SHA-256, truncated to 128 bits (RFC 2104, 5).

    The first secret signs; all are accepted, so that secrets can be rotated while cursors are in
    use. The key is derived from the secret for this purpose only: a signature made here is valid
    nowhere else, and vice versa. Cursors are not encrypted. They contain the sort values of a row
    that the client has seen.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._keys = [hmac.digest(secret, _PURPOSE, hashlib.sha256) for secret in secrets]

    def encode(self, position: Position, context: str) -> str:
        """The position as URL-safe text. `context` identifies the list and its order.

        Raises TypeError for a value whose type is not supported as a sort key, and ValueError if
        the cursor would exceed MAX_LENGTH.
        """
        flags = position.backward << 1 | position.inclusive
        values = [flags, *(_written(value) for value in position.values)]
        # Not escaped: an escaped character would take up to twelve bytes of MAX_LENGTH.
        body = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
        cursor = _text(_signature(self._keys[0], context, body) + body)
        if len(cursor) > MAX_LENGTH:
            raise ValueError(f"sort values make a cursor of more than {MAX_LENGTH} characters")
        return cursor

    def decode(self, cursor: str, context: str) -> Position:
        """The position that was signed for this context. Raises InvalidCursor for anything else."""
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars="-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidCursor from error
        if _text(raw) != cursor:  # the same bytes have other base64 spellings
            raise InvalidCursor
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not any(
            hmac.compare_digest(signature, _signature(key, context, body)) for key in self._keys
        ):
            raise InvalidCursor
        flags, *values = json.loads(body)
        return Position(
            tuple(_read(value) for value in values),
            backward=bool(flags & 2),
            inclusive=bool(flags & 1),
        )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _signature(key: bytes, context: str, body: bytes) -> bytes:
    named = context.encode()
    # The length prefix makes the encoding of context and body unambiguous.
    message = len(named).to_bytes(4) + named + body
    return hmac.digest(key, message, hashlib.sha256)[:_SIGNATURE_BYTES]


# Values are strings with a type prefix. bool precedes int, and datetime precedes date, because each
# is a subclass of the other.
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
