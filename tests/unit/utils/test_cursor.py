"""Cursors: signed positions round-trip, and anything else is rejected."""

import base64
import math
import string
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_base.utils.pagination import CursorCodec, InvalidCursor, Position
from fastapi_base.utils.pagination.cursor import MAX_LENGTH

CODEC = CursorCodec([b"a secret of 32 bytes, or of more."])
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False),
    st.text(max_size=50),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=st.just(UTC)),
)
POSITIONS = st.builds(
    Position,
    st.lists(VALUES, min_size=1, max_size=4).map(tuple),
    backward=st.booleans(),
    inclusive=st.booleans(),
)


@given(POSITIONS, st.text(max_size=20))
def test_positions_round_trip(position: Position, context: str) -> None:
    opened = CODEC.decode(CODEC.encode(position, context), context)
    assert opened == position
    assert [type(value) for value in opened.values] == [type(value) for value in position.values]


def test_similar_types_stay_distinct() -> None:
    values = (
        True,
        1,
        1.0,
        "1",
        Decimal("1.00"),
        date(2026, 1, 2),
        datetime(2026, 1, 2, tzinfo=UTC),
    )
    opened = CODEC.decode(CODEC.encode(Position(values), ""), "").values
    assert [type(value) for value in opened] == [type(value) for value in values]
    assert str(opened[4]) == "1.00"
    nan = CODEC.decode(CODEC.encode(Position((math.nan, math.inf)), ""), "").values
    assert math.isnan(nan[0])
    assert nan[1] == math.inf


@given(st.data())
def test_modified_cursor_is_refused(data: st.DataObject) -> None:
    cursor = CODEC.encode(Position((uuid.UUID(int=7), "ada@example.com")), "users?email")
    at = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_+/=."))
    changed = cursor[:at] + other + cursor[at + 1 :]
    if changed != cursor:
        with pytest.raises(InvalidCursor):
            CODEC.decode(changed, "users?email")
    shorter = cursor[:at]
    with pytest.raises(InvalidCursor):
        CODEC.decode(shorter, "users?email")


@given(st.text(max_size=200))
def test_arbitrary_text_is_only_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        CODEC.decode(text, "")


def test_cursor_for_another_list_or_secret_is_refused() -> None:
    cursor = CODEC.encode(Position((1,)), "users?email")
    for context in ["users?-email", "items?email", "users?emai", ""]:
        with pytest.raises(InvalidCursor):
            CODEC.decode(cursor, context)
    with pytest.raises(InvalidCursor):
        CursorCodec([b"another secret"]).decode(cursor, "users?email")
    # The length of the context is signed too, so the end of the context cannot move into the body.
    body = base64.urlsafe_b64decode(cursor + "==")
    moved = base64.urlsafe_b64encode(body[:16] + b"l" + body[16:]).decode().rstrip("=")
    with pytest.raises(InvalidCursor):
        CODEC.decode(moved, "users?emai")


def test_secrets_rotate_while_cursors_are_valid() -> None:
    old, new = b"the old secret", b"the new secret"
    cursor = CursorCodec([old]).encode(Position((1,)), "")
    assert CursorCodec([new, old]).decode(cursor, "") == Position((1,))
    with pytest.raises(InvalidCursor):
        CursorCodec([new]).decode(cursor, "")


def test_unsupported_values_make_no_cursor() -> None:
    with pytest.raises(TypeError, match="type list"):
        CODEC.encode(Position(([],)), "")
    with pytest.raises(ValueError, match=str(MAX_LENGTH)):
        CODEC.encode(Position(("x" * MAX_LENGTH,)), "")
