"""The mark of deprecated routes and fields."""

from datetime import date
from typing import Annotated

import pytest
from pydantic import BaseModel

from fastapi_base.core.deprecation import deprecated, deprecation_of

SINCE, SUNSET = date(2026, 12, 1), date(2027, 6, 1)


def test_header_fields_have_the_formats_of_the_standards() -> None:
    mark = deprecated(since=SINCE, sunset=SUNSET, link="https://example.com/things-v2")
    assert mark.headers == [
        # RFC 9745: a structured date. RFC 8594: an HTTP date.
        (b"deprecation", b"@1796083200"),
        (b"sunset", b"Tue, 01 Jun 2027 00:00:00 GMT"),
        (b"link", b'<https://example.com/things-v2>; rel="deprecation"'),
        (b"link", b'<https://example.com/things-v2>; rel="sunset"'),
    ]
    assert deprecated(since=SINCE).headers == [(b"deprecation", b"@1796083200")]


def test_a_sunset_is_not_before_the_deprecation() -> None:
    assert deprecated(since=SINCE, sunset=SINCE).sunset == SINCE
    with pytest.raises(ValueError, match="sunset: 2026-11-30 is before the deprecation"):
        deprecated(since=SINCE, sunset=date(2026, 11, 30))


@pytest.mark.parametrize(
    "link", ["things-v2", "javascript:x", "/a b", '/a>; rel="next"', "/\u00e9", ""]
)
def test_a_link_can_stand_in_a_header(link: str) -> None:
    with pytest.raises(ValueError, match="must be a URL"):
        deprecated(since=SINCE, link=link)


def test_a_function_keeps_its_mark() -> None:
    mark = deprecated(since=SINCE)

    @mark
    async def marked() -> None: ...

    async def other() -> None: ...

    assert deprecation_of(marked) is mark
    assert deprecation_of(other) is None
    assert deprecation_of(None) is None


def test_a_field_is_described_as_deprecated() -> None:
    class Thing(BaseModel):
        colour: Annotated[str | None, deprecated(since=SINCE, sunset=SUNSET)] = None

    described = Thing.model_json_schema()["properties"]["colour"]
    assert described["deprecated"] is True
    assert described["x-deprecated-since"] == "2026-12-01"
    assert described["x-sunset"] == "2027-06-01"
    assert Thing(colour="red").model_dump() == {"colour": "red"}
