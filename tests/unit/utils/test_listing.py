"""Which orders and filters a list offers together, and the range that a prefix selects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, String, Table

from fastapi_base.utils.pagination import Listing, NotOffered, behind_prefix

THINGS = Table(
    "things", MetaData(), Column("id", Integer), Column("made", Integer), Column("name", String)
)
LISTING = Listing(
    "things",
    THINGS.c.id,
    {"made": THINGS.c.made, "name": THINGS.c.name},
    default="-made",
    ranges={"made_from": "made", "made_before": "made", "name_prefix": "name"},
)


@pytest.mark.parametrize(
    ("sort", "filters", "order"),
    [
        ([], set(), ()),
        (["name"], {"color"}, ("name",)),
        ([], {"made_from", "made_before"}, ("-made",)),
        (["made"], {"made_from"}, ("made",)),
        ([], {"name_prefix", "color"}, ("name",)),
        (["-name"], {"name_prefix"}, ("-name",)),
    ],
)
def test_range_requires_an_order_by_its_column(
    sort: list[str], filters: set[str], order: tuple[str, ...]
) -> None:
    assert LISTING.order(sort, filters) == order


@pytest.mark.parametrize(
    ("sort", "filters", "parameter", "message"),
    [
        (
            ["name"],
            {"made_from"},
            "sort",
            "With made_from, sort must be made or -made or omitted, not name",
        ),
        (
            [],
            {"made_from", "name_prefix"},
            "name_prefix",
            "name_prefix cannot be combined with made_from; omit one",
        ),
    ],
)
def test_combination_without_an_index_is_refused_by_name(
    sort: list[str], filters: set[str], parameter: str, message: str
) -> None:
    with pytest.raises(NotOffered) as refused:
        LISTING.order(sort, filters)
    assert (refused.value.parameter, str(refused.value)) == (parameter, message)


def test_ranges_use_columns_of_the_list() -> None:
    with pytest.raises(ValueError, match="color"):
        Listing("things", THINGS.c.id, {"made": THINGS.c.made}, "made", {"color_from": "color"})


@given(st.text(min_size=1), st.text(), st.text())
def test_end_of_a_prefix_follows_exactly_the_texts_with_that_prefix(
    prefix: str, rest: str, other: str
) -> None:
    end = behind_prefix(prefix)
    # PostgreSQL compares the bytes of UTF-8, which sort like the code points.
    assert end is None or end.encode() > (prefix + rest).encode()
    within = prefix <= other and (end is None or other < end)
    assert within == other.startswith(prefix)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("a_", "a`"),
        ("\ud7ff", "\ue000"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff", None),
        ("", None),
    ],
)
def test_end_of_a_prefix_is_valid_text(prefix: str, end: str | None) -> None:
    assert behind_prefix(prefix) == end
