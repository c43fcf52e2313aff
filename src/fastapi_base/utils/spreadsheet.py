"""CSV as used by spreadsheets: delimiters, byte order marks, and cells taken for formulas."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

MEDIA_TYPES = ("text/csv", "application/csv", "application/vnd.ms-excel")
DELIMITERS = ",;\t"
# Charset names that clients send, in lower case, and their codecs.
CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "utf-16": "utf-16",
    "utf16": "utf-16",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
}
TAKEN = f"{', '.join(MEDIA_TYPES)}; charset=utf-8, utf-16 or windows-1252"
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Signatures of binary formats (ZIP, OLE) that browsers send with these media types.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t])"?(?:\r\n|\r|\n|$)', re.IGNORECASE)

# What may precede a formula: blanks and quotes that spreadsheets skip, and characters that separate
# cells in some locales but not in others.
_FORMULA = re.compile("(^[\\s\"',;]*|[\\s\"',;]+)([=+\\-@\uff1d\uff0b\uff0d\uff20]?)")
_SPLITS = frozenset(",;\t\r\n")
_BLANK_START = re.compile("'*[\t\r\n]")

# A row: the number of its first line, and its cells; None is an empty unquoted cell.
Row = tuple[int, list[str | None]]


class NotCsv(ValueError):
    """The text is not valid CSV (RFC 4180). The message names the line."""


class NotText(ValueError):
    """The bytes cannot be decoded. `at` is the offset of the first invalid byte."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at


def decode(body: bytes, charset: str) -> str:
    """Decode the body. A byte order mark takes precedence over `charset` and is removed.

    Raises NotText, also for U+0000, which no cell can hold.
    """
    if body.startswith(_WORKBOOKS):
        raise NotText(0, "The file is a workbook, not CSV; save it as CSV (UTF-8)")
    codec = next((found for mark, found in _MARKS.items() if body.startswith(mark)), charset)
    try:
        text = body.decode(codec)
    except UnicodeDecodeError as error:
        named = {"utf-8-sig": "utf-8", "cp1252": "windows-1252"}.get(codec, codec)
        cure = "set its charset in Content-Type, or save it as UTF-8"
        raise NotText(error.start, f"The text is not {named.upper()}; {cure}") from None
    if (at := text.find("\0")) >= 0:
        raise NotText(len(text[:at].encode(codec)), "The text contains a NUL character")
    return text


def rows(text: str, wanted: str) -> Iterator[Row]:
    """All non-empty rows, starting with the header. Lines are numbered from 1.

    The delimiter is taken from a first line such as `sep=;`, or else is the one with which the
    header contains the `wanted` column. Raises NotCsv.
    """
    skipped, delimiter = 0, None
    if line := _SEPARATOR_LINE.match(text):
        skipped, delimiter, text = 1, line[1], text[line.end() :]
    if delimiter is None:
        delimiter = next((one for one in DELIMITERS if wanted in _header(text, one)), ",")
    for line_number, cells in _read(text, delimiter):
        yield line_number + skipped, cells


def column(name: str | None) -> str:
    """The normalised name of a column, for comparison."""
    return (name or "").strip().casefold()


def _header(text: str, delimiter: str) -> list[str]:
    try:
        _, cells = next(_read(text, delimiter), (0, []))
    except NotCsv:
        return []
    return [column(cell) for cell in cells]


def _read(text: str, delimiter: str) -> Iterator[Row]:
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, strict=True, quoting=csv.QUOTE_NOTNULL)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise NotCsv(f"line {line}: invalid CSV: {error}") from None
        if cells is None:
            return
        if any(cell and cell.strip() for cell in cells):
            yield line, list(cells)


def write(table: Iterable[Iterable[Any]], *, escape: bool = False) -> bytes:
    """Write CSV (RFC 4180) in UTF-8, with ISO 8601 times; for `escape`, see escape_formulas()."""

    def cell(value: Any) -> Any:
        if isinstance(value, str):
            return escape_formulas(value) if escape else value
        return value.isoformat() if hasattr(value, "isoformat") else value

    text = io.StringIO(newline="")
    # All values are quoted except None, so that a missing text and an empty one differ.
    writer = csv.writer(text, quoting=csv.QUOTE_NOTNULL)
    writer.writerows([cell(value) for value in row] for row in table)
    return text.getvalue().encode()


def escape_formulas(cell: str) -> str:
    """Escape a cell so that no spreadsheet evaluates any part of it as a formula (CWE-1236).

    An apostrophe is inserted before characters that start a formula: at the start of the cell, and
    after each delimiter in it, because spreadsheets in other locales split cells there.
    unescape_formulas() is the inverse.
    """

    def mark(found: re.Match[str]) -> str:
        before, sign = found.groups()
        return f"{before}'{sign}" if sign and _may_begin(found) else found[0]

    escaped = _FORMULA.sub(mark, cell)
    return f"'{escaped}" if _BLANK_START.match(escaped) else escaped


def unescape_formulas(cell: str) -> str:
    """The original of a cell that escape_formulas() returned."""

    def unmark(found: re.Match[str]) -> str:
        before, sign = found.groups()
        if sign and before.endswith("'") and _may_begin(found):
            return before[:-1] + sign
        return found[0]

    if cell.startswith("'") and _BLANK_START.match(cell[1:]):
        cell = cell[1:]
    return _FORMULA.sub(unmark, cell)


def _may_begin(found: re.Match[str]) -> bool:
    return found.start() == 0 or not _SPLITS.isdisjoint(found[1])
