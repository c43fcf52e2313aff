"""Cursors: what was sealed comes back, and nothing else is taken."""

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
def test_positions_come_back_as_they_were(position: Position, context: str) -> None:
    opened = CODEC.open(CODEC.seal(position, context), context)
    assert opened == position
    assert [type(value) for value in opened.values] == [type(value) for value in position.values]


def test_types_that_look_alike_stay_apart() -> None:
    values = (
        True,
        1,
        1.0,
        "1",
        Decimal("1.00"),
        date(2026, 1, 2),
        datetime(2026, 1, 2, tzinfo=UTC),
    )
    opened = CODEC.open(CODEC.seal(Position(values), ""), "").values
    assert [type(value) for value in opened] == [type(value) for value in values]
    assert str(opened[4]) == "1.00"
    nan = CODEC.open(CODEC.seal(Position((math.nan, math.inf)), ""), "").values
    assert math.isnan(nan[0])
    assert nan[1] == math.inf


@given(st.data())
def test_a_changed_cursor_is_refused(data: st.DataObject) -> None:
    sealed = CODEC.seal(Position((uuid.UUID(int=7), "ada@example.com")), "users?email")
    at = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_+/=."))
    changed = sealed[:at] + other + sealed[at + 1 :]
    if changed != sealed:
        with pytest.raises(InvalidCursor):
            CODEC.open(changed, "users?email")
    shorter = sealed[:at]
    with pytest.raises(InvalidCursor):
        CODEC.open(shorter, "users?email")


@given(st.text(max_size=200))
def test_no_text_is_more_than_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        CODEC.open(text, "")


def test_sealed_for_another_list_or_by_another_secret_is_refused() -> None:
    sealed = CODEC.seal(Position((1,)), "users?email")
    for context in ["users?-email", "items?email", "users?emai", ""]:
        with pytest.raises(InvalidCursor):
            CODEC.open(sealed, context)
    with pytest.raises(InvalidCursor):
        CursorCodec([b"another secret"]).open(sealed, "users?email")
    # The length of the context is sealed too: it cannot lend its end to the body.
    body = base64.urlsafe_b64decode(sealed + "==")
    moved = base64.urlsafe_b64encode(body[:16] + b"l" + body[16:]).decode().rstrip("=")
    with pytest.raises(InvalidCursor):
        CODEC.open(moved, "users?emai")


def test_secrets_change_while_cursors_are_out() -> None:
    old, new = b"the old secret", b"the new secret"
    sealed = CursorCodec([old]).seal(Position((1,)), "")
    assert CursorCodec([new, old]).open(sealed, "") == Position((1,))
    with pytest.raises(InvalidCursor):
        CursorCodec([new]).open(sealed, "")


def test_what_makes_no_cursor() -> None:
    with pytest.raises(TypeError, match="type list"):
        CODEC.seal(Position(([],)), "")
    with pytest.raises(ValueError, match=str(MAX_LENGTH)):
        CODEC.seal(Position(("x" * MAX_LENGTH,)), "")
