"""Declares the sort orders and filters of a list, and the page that a client requests.

A page is read from an index on the filter columns, then the sort column, then the primary key. An
equality filter (`status=failed`) precedes the sort column and combines with any order. A range
filter (`created_from`, a prefix) is a range of the sort column: no index stores the rows between
two times in the order of their titles. Such combinations are refused rather than answered with a
scan of all rows.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, String, collate, false, inspect, or_
from sqlalchemy.types import TypeEngine

from fastapi_base.utils.pagination.cursor import CursorCodec, Position


class NotOffered(ValueError):
    """A combination of order and filters that no index serves.

    `parameter` is the one to change; the message names possible combinations.
    """

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Key:
    """A sort column and its direction.

    Text is compared by code point, so that order and prefix filters are the same, and use the same
    index, with any collation of the database.
    """

    column: SQLColumnExpression[Any]
    descending: bool

    @property
    def kind(self) -> TypeEngine[Any]:
        """The type of the column."""
        found: TypeEngine[Any] = inspect(self.column).type
        return found

    @property
    def nullable(self) -> bool:
        """Whether values may be NULL."""
        return bool(getattr(self.column, "nullable", True))

    @property
    def compared(self) -> ColumnElement[Any]:
        """The column as used in comparisons."""
        return self._compared(inspect(self.column))

    def ordered(self, column: ColumnElement[Any] | None = None) -> ColumnElement[Any]:
        """The ORDER BY expression for this column, or for another one with the same values.

        NULL sorts after all other values: PostgreSQL's default, which its indexes use.
        """
        given = self.compared if column is None else self._compared(column)
        return given.desc() if self.descending else given.asc()

    def same(self, value: Any) -> ColumnElement[bool]:
        """The condition for rows with this value."""
        return self.column.is_(None) if value is None else self.compared == value

    def behind(self, value: Any) -> ColumnElement[bool]:
        """The condition for rows that follow `value` in this order."""
        if self.descending:
            return self.column.is_not(None) if value is None else self.compared < value
        if value is None:
            return false()
        later = self.compared > value
        return or_(later, self.column.is_(None)) if self.nullable else later

    def _compared(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return collate(column, "C") if isinstance(self.kind, String) else column


@dataclass(frozen=True, slots=True)
class Listing:
    """A list that supports pagination: its name, primary key, and sortable columns.

    `columns` maps names to columns. An order is one of these names, with `-` for descending;
    `default` is one of them. Columns must be sortable in SQL and bounded in length. For each there
    must be an index on the columns of equality filters, the column and the key, which
    `tests/integration/db/test_list_plans.py` checks. Do not offer a column that is declared NOT
    NULL but comes from the outer side of a join: rows without a value would be lost.

    `ranges` maps query parameters that filter by range to the column that they restrict. They are
    available only with orders by that column.
    """

    name: str
    key: SQLColumnExpression[Any]
    columns: Mapping[str, SQLColumnExpression[Any]]
    default: str
    ranges: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.default not in self.orders:
            raise ValueError(f"{self.name}: {self.default!r} is none of {self.orders}")
        if unknown := set(self.ranges.values()) - set(self.columns):
            raise ValueError(f"{self.name}: ranges of {sorted(unknown)}, which are no columns")

    @property
    def orders(self) -> tuple[str, ...]:
        """The available orders: each name, and each name with `-` for descending."""
        return tuple(sign + name for name in self.columns for sign in ("", "-"))

    def order(self, sort: Sequence[str], given: Collection[str]) -> tuple[str, ...]:
        """The order for the requested sort, given the query parameters in use.

        Without `sort`, it is the default, or ascending by the column of a range filter in use.
        Raises NotOffered.
        """
        ranges = [(name, column) for name, column in self.ranges.items() if name in given]
        for name, column in ranges[1:]:
            if column != ranges[0][1]:
                raise NotOffered(name, f"{name} cannot be combined with {ranges[0][0]}; omit one")
        if not ranges:
            return tuple(sort)
        name, column = ranges[0]
        offered = (column, f"-{column}")
        if sort and sort[0] not in offered:
            raise NotOffered(
                "sort",
                f"With {name}, sort must be {' or '.join(offered)} or omitted, not {sort[0]}",
            )
        return tuple(sort) or (self.default if self.default in offered else column,)

    def keys(self, sort: Sequence[str]) -> list[Key]:
        """The sort columns, followed by the primary key.

        The primary key has the direction of the first column, so that one index serves both
        directions.
        """
        sort = list(sort) or [self.default]
        wanted: dict[str, bool] = {}
        for order in sort:
            wanted.setdefault(order.removeprefix("-"), order.startswith("-"))
        keys = [Key(self.columns[name], descending) for name, descending in wanted.items()]
        return [*keys, Key(self.key, keys[0].descending)]


@dataclass(frozen=True, slots=True)
class PageQuery:
    """The page of a list that a client requests."""

    listing: Listing
    codec: CursorCodec = field(repr=False)
    limit: int
    sort: tuple[str, ...] = ()
    position: Position | None = None
    total: bool = False

    def context(self) -> str:
        """The context that cursors of this list and order are signed for."""
        return context(self.listing, self.sort)


def context(listing: Listing, sort: Sequence[str]) -> str:
    """The context that cursors of this list and order are signed for."""
    return f"{listing.name}?{','.join(sort or [listing.default])}"


def starts_with(column: SQLColumnExpression[Any], prefix: str) -> list[ColumnElement[bool]]:
    """Conditions for text with this prefix: a range of an index on the column with collation "C".

    LIKE would use the index only if PostgreSQL knows the pattern at planning time and the collation
    compares by code point.
    """
    compared: ColumnElement[Any] = collate(inspect(column), "C")
    end = behind_prefix(prefix)
    return [compared >= prefix, *([] if end is None else [compared < end])]


def behind_prefix(prefix: str) -> str | None:
    """The smallest text that is greater than all texts with this prefix; None if there is none.

    Compares by code point, like PostgreSQL's collation "C" for UTF-8.
    """
    rest = prefix
    while rest:
        last = ord(rest[-1])
        if last < 0x10FFFF:
            # U+D800 to U+DFFF are surrogates, not characters.
            return rest[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        rest = rest[:-1]
    return None
