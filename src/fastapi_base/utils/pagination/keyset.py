"""Statements for one page: what lies behind a position, in an order that is total.

An order ends in the primary key, so that no two rows are equal in it. A page then is neither moved
nor torn by rows that come and go between requests: walking a list, each row that stays is met once.
(A row whose sort values change moves in the list, and may be met twice or not at all.)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    SQLColumnExpression,
    and_,
    false,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from fastapi_base.utils.pagination.cursor import CursorCodec, Position
from fastapi_base.utils.pagination.page import Page

_LABEL = "keyset_"


@dataclass(frozen=True, slots=True)
class Listing:
    """A list that can be walked: its name, its primary key, and the columns to sort by.

    `default` is one of the orders, which are the names in `columns` with or without `-`. Columns
    must be sortable in SQL and bounded in length; an index on (column, key) makes pages fast. Where
    a column that is declared NOT NULL comes from the outer side of a join, do not offer it: rows
    without it would be lost.
    """

    name: str
    key: SQLColumnExpression[Any]
    columns: Mapping[str, SQLColumnExpression[Any]]
    default: str

    def __post_init__(self) -> None:
        if self.default not in self.orders:
            raise ValueError(f"{self.name}: {self.default!r} is none of {self.orders}")

    @property
    def orders(self) -> tuple[str, ...]:
        """What callers may sort by: each name, and `-` before it for descending."""
        return tuple(sign + name for name in self.columns for sign in ("", "-"))

    def keys(self, sort: Sequence[str]) -> list["_Key"]:
        """The columns that this sort means, with the primary key as the last.

        It goes the way of the first, so that an index on both serves either direction.
        """
        sort = list(sort) or [self.default]
        wanted: dict[str, bool] = {}
        for order in sort:
            wanted.setdefault(order.removeprefix("-"), order.startswith("-"))
        keys = [_Key(self.columns[name], descending) for name, descending in wanted.items()]
        return [*keys, _Key(self.key, keys[0].descending)]


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which page of a list is asked for."""

    listing: Listing
    codec: CursorCodec = field(repr=False)
    limit: int
    sort: tuple[str, ...] = ()
    position: Position | None = None
    total: bool = False

    def context(self) -> str:
        """What a cursor of this list in this order is sealed for."""
        return context(self.listing, self.sort)


def context(listing: Listing, sort: Sequence[str]) -> str:
    """What cursors of this list in this order are sealed for."""
    return f"{listing.name}?{','.join(sort or [listing.default])}"


async def fetch[T](
    connection: AsyncConnection | AsyncSession,
    statement: Select[*tuple[Any, ...]],
    query: PageQuery,
    make: Callable[[Row[Any]], T],
) -> Page[T]:
    """One page of what the statement selects; it must have no order and no limit of its own."""
    position = query.position
    backward = position is not None and position.backward
    keys = query.listing.keys(query.sort)
    asked = narrowed(statement, query)
    rows: list[Row[Any]] = list((await connection.execute(asked)).all())
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    if backward:
        rows.reverse()
    before, after = _neighbours(rows, len(keys), position, more)
    return Page(
        items=[make(row) for row in rows],
        next=query.codec.seal(after, query.context()) if after else None,
        previous=query.codec.seal(before, query.context()) if before else None,
        total=await _count(connection, statement) if query.total else None,
    )


def narrowed(statement: Select[*tuple[Any, ...]], query: PageQuery) -> Select[*tuple[Any, ...]]:
    """The statement for one page and one row more, which tells whether there is another page."""
    keys, position = query.listing.keys(query.sort), query.position
    if position is not None and position.backward:
        keys = [_Key(key.column, not key.descending) for key in keys]
    asked = statement.add_columns(*(key.column.label(f"{_LABEL}{n}") for n, key in enumerate(keys)))
    if position is not None:
        asked = asked.where(_behind(keys, position))
    return asked.order_by(*(key.ordered for key in keys)).limit(query.limit + 1)


async def _count(
    connection: AsyncConnection | AsyncSession, statement: Select[*tuple[Any, ...]]
) -> int:
    counted = select(func.count()).select_from(statement.subquery())
    return int((await connection.execute(counted)).scalar_one())


def _neighbours(
    rows: Sequence[Row[Any]], width: int, position: Position | None, more: bool
) -> tuple[Position | None, Position | None]:
    """The positions of the pages before and behind this one, where there is a page.

    On the side that one came from there was a row when the cursor was made, so there is a page; it
    turns out empty only when all its rows are gone.
    """
    backward = position is not None and position.backward
    if not rows:
        if position is None:
            return None, None
        # Nothing is left that way: turn round. The row that the position names may be there yet.
        back = Position(position.values, not backward, not position.inclusive)
        return (None, back) if backward else (back, None)
    before = Position(_values(rows[0], width), backward=True)
    after = Position(_values(rows[-1], width))
    if backward:
        return (before if more else None), after
    return (before if position else None), (after if more else None)


def _values(row: Row[Any], width: int) -> tuple[Any, ...]:
    return tuple(row._mapping[f"{_LABEL}{n}"] for n in range(width))


@dataclass(frozen=True, slots=True)
class _Key:
    column: SQLColumnExpression[Any]
    descending: bool

    @property
    def nullable(self) -> bool:
        return bool(getattr(self.column, "nullable", True))

    @property
    def ordered(self) -> ColumnElement[Any]:
        # PostgreSQL's own order, which its indexes have: NULL is greater than all else.
        return self.column.desc() if self.descending else self.column.asc()

    def same(self, value: Any) -> ColumnElement[bool]:
        return self.column.is_(None) if value is None else self.column == value

    def behind(self, value: Any) -> ColumnElement[bool]:
        """What comes later in this order than `value`."""
        if self.descending:
            return self.column.is_not(None) if value is None else self.column < value
        if value is None:
            return false()
        later = self.column > value
        return or_(later, self.column.is_(None)) if self.nullable else later


def _behind(keys: Sequence[_Key], position: Position) -> ColumnElement[bool]:
    """The rows that come later in this order than the position."""
    values = position.values
    one_way = len({key.descending for key in keys}) == 1
    if one_way and not any(key.nullable for key in keys):
        # A comparison of rows is one condition that an index on these columns answers.
        row = tuple_(*(key.column for key in keys))
        if keys[0].descending:
            return row <= values if position.inclusive else row < values
        return row >= values if position.inclusive else row > values
    steps = []
    for n, (key, value) in enumerate(zip(keys, values, strict=True)):
        equal = (k.same(v) for k, v in zip(keys[:n], values[:n], strict=True))
        steps.append(and_(*equal, key.behind(value)))
    if position.inclusive:
        steps.append(and_(*(k.same(v) for k, v in zip(keys, values, strict=True))))
    return or_(*steps)
