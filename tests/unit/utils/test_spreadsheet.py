"""Cells that spreadsheets read as formulas, and CSV as spreadsheets write it."""

import time

import pytest
from hypothesis import given
from hypothesis.strategies import sampled_from, text

from fastapi_base.utils.spreadsheet import (
    NotText,
    decode,
    escape_formulas,
    rows,
    unescape_formulas,
)


@pytest.mark.parametrize(
    ("cell", "escaped"),
    [
        ("=1+1", "'=1+1"),
        ("-5", "'-5"),
        ("\t=1", "'\t'=1"),
        ("\rx", "'\rx"),
        (" =1", " '=1"),
        ('"=1', "\"'=1"),
        ("\uff1d1", "'\uff1d1"),
        ("'=1", "''=1"),
        # Where a comma or a semicolon separates cells, or quotes do not keep a line together.
        ("a;=1", "a;'=1"),
        ("a\n=1", "a\n'=1"),
        ('a";"=1', 'a";"\'=1'),
        ("a - b = c", "a - b = c"),
        ("a@b", "a@b"),
        ("'quoted'", "'quoted'"),
        ("", ""),
    ],
    ids=ascii,
)
def test_only_formulas_are_escaped(cell: str, escaped: str) -> None:
    assert escape_formulas(cell) == escaped
    assert unescape_formulas(escaped) == cell


@given(text(alphabet=sampled_from("'=+-@\t\r\n \",;ab\uff1d")))
def test_escaping_round_trips(cell: str) -> None:
    escaped = escape_formulas(cell)
    assert unescape_formulas(escaped) == cell
    assert not escaped.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("cell", ["\t" * 100_000, "'" * 100_000, "=," * 50_000, ",'" * 50_000])
def test_every_cell_is_checked_quickly(cell: str) -> None:
    start = time.thread_time()
    assert unescape_formulas(escape_formulas(cell)) == cell
    assert time.thread_time() - start < 1


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ("a,b\n1,2\n", [(1, ["a", "b"]), (2, ["1", "2"])]),
        ("A;b\n1;2\n", [(1, ["A", "b"]), (2, ["1", "2"])]),
        ("sep=;\n\na;b\n1;2\n", [(3, ["a", "b"]), (4, ["1", "2"])]),
        ('b,"a;"\n', [(1, ["b", "a;"])]),
        ("c;d\n", [(1, ["c;d"])]),
        ("", []),
    ],
)
def test_delimiter_is_detected_from_the_header(
    document: str, found: list[tuple[int, list[str]]]
) -> None:
    assert list(rows(document, "a")) == found


def test_charset_is_detected_from_the_byte_order_mark() -> None:
    for codec, named in (("utf-8-sig", "cp1252"), ("utf-16", "utf-8"), ("cp1252", "cp1252")):
        assert decode("\u00e9\u20ac".encode(codec), named) == "\u00e9\u20ac"
    with pytest.raises(NotText, match="WINDOWS-1252"):
        decode(b"\x81", "cp1252")
