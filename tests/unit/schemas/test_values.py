"""Numbers, days, times and URLs that clients send."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fastapi_base.models.base import URL_MAX
from fastapi_base.schemas.changes import Changes, absent
from fastapi_base.schemas.moment import Day, Moment
from fastapi_base.schemas.numbers import FixedPoint, Integer
from fastapi_base.schemas.url import Url

PRICE = Annotated[Decimal, FixedPoint(5, 2)]
PART = Annotated[Decimal, FixedPoint(2, 2)]
WHOLE = Annotated[Decimal, FixedPoint(3, 0)]
REFUSED: tuple[Any, ...] = (
    *("x", "", "1000", "0.001", "1e1", " 1", "1_0", ".5", "1.", "NaN"),
    *(1000, 0.001, 1e300, float("nan"), True, None, []),
)


@pytest.mark.parametrize(
    ("kind", "sent", "kept"),
    [
        (PRICE, "19.90", "19.90"),
        (PRICE, "-999.9", "-999.9"),
        (PRICE, 0.1, "0.1"),
        (PRICE, 7, "7"),
        (PRICE, 1e2, "100.0"),
        (PART, "0.99", "0.99"),
        (PART, "-0.5", "-0.5"),
        (WHOLE, "100", "100"),
    ],
)
def test_decimals_are_exact(kind: Any, sent: Any, kept: str) -> None:
    assert str(TypeAdapter(kind).validate_python(sent)) == kept


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        *((PRICE, sent) for sent in REFUSED),
        (PART, "1.00"),
        (PART, "9"),
        (WHOLE, "1.0"),
    ],
)
def test_other_decimals_are_refused(kind: Any, sent: Any) -> None:
    with pytest.raises(ValidationError, match=r"must be a number with at most \d+ digits before"):
        TypeAdapter(kind).validate_python(sent)


def test_integers_are_numbers_without_fraction() -> None:
    integers = TypeAdapter(Integer)
    assert [integers.validate_python(sent) for sent in (7, 7.0, -1)] == [7, 7, -1]
    wrong: tuple[Any, ...] = (True, "7", 7.5, None, float("inf"))
    for sent in wrong:
        with pytest.raises(ValidationError):
            integers.validate_python(sent)


def test_days_and_times_are_written_out() -> None:
    assert TypeAdapter(Day).validate_python("2026-01-31") == date(2026, 1, 31)
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    for sent in ("2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00", noon):
        assert TypeAdapter(Moment).validate_python(sent) == noon
    days: tuple[Any, ...] = (0, 20260131, True, "20260131", "2026-01-31T00:00:00", noon)
    for wrong in (*days, "2026-02-30"):
        with pytest.raises(ValidationError):
            TypeAdapter(Day).validate_python(wrong)
    times: tuple[Any, ...] = (0, 1.5, "1769860800", "2026-01-31", "2026-01-31T12:00:00")
    for wrong in times:
        with pytest.raises(ValidationError):
            TypeAdapter(Moment).validate_python(wrong)


def test_urls_are_absolute_and_in_ascii() -> None:
    urls = TypeAdapter(Url)
    assert urls.validate_python("https://Bücher.example/a?b#c") == (
        "https://xn--bcher-kva.example/a?b#c"
    )
    for wrong in ("x", "/a", "ftp://example.com", "javascript:alert(1)", "https://", ""):
        with pytest.raises(ValidationError):
            urls.validate_python(wrong)
    longest = "https://ü.example/"
    with pytest.raises(ValidationError, match="2000 characters"):
        urls.validate_python(longest.ljust(URL_MAX, "x"))


def test_changes_hold_what_was_sent() -> None:
    class Things(Changes):
        a: int = absent()
        b: int | None = None

    assert Things.model_validate({"b": None}).changes() == {"b": None}
    for wrong in ({}, {"a": None}, {"c": 1}):
        with pytest.raises(ValidationError):
            Things.model_validate(wrong)
