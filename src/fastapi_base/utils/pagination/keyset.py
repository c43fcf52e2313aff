"""Statements for one page: what lies behind a position, in an order that is total.

An order ends in the primary key, so that no two rows are equal in it. A page then is neither moved
nor torn by rows that come and go between requests: walking a list, each row that stays is met once.
(A row whose sort values change moves in the list, and may be met twice or not at all.)
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    SQLColumnExpression,
    and_,
    bindparam,
    false,
    func,
    inspect,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.types import TypeEngine

from fastapi_base.utils.pagination.cursor import CursorCodec, Position
from fastapi_base.utils.pagination.page import Page
from fastapi_base.utils.statements import Runs, Statement, Values

_LABEL = "keyset_"
_LIMIT = "keyset_limit"

type Selected = Select[*tuple[Any, ...]]


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
    statement: Selected,
    query: PageQuery,
    make: Callable[[Row[Any]], T],
) -> Page[T]:
    """One page of what the statement selects; it must have no order and no limit of its own."""
    asked, labels = narrowed(statement, query)
    rows, before, after = _cut(
        (await connection.execute(asked, position_values(query))).all(),
        lambda row: tuple(row._mapping[label] for label in labels),
        query,
    )
    total = None
    if query.total:
        total = int((await connection.execute(_counting(statement))).scalar_one())
    return _page([make(row) for row in rows], query, before, after, total)


class Walk:
    """The same for a statement that is made once, with bindparam() for what differs between calls.

    Each order, and each kind of place in it, is compiled once.
    """

    def __init__(self, statement: Selected) -> None:
        self._statement = statement
        self._counting = Statement(_counting(statement))
        # Sorts are of a list that is given, so these have an end.
        self._asked: dict[Hashable, tuple[Statement, Sequence[str]]] = {}

    async def fetch[T](
        self,
        database: Runs,
        values: Values,
        query: PageQuery,
        make: Callable[[Sequence[Mapping[str, Any]]], list[T]],
    ) -> Page[T]:
        """One page, its rows made of mappings by `make`."""
        shape = (query.sort, query.position and query.position.shape)
        if shape not in self._asked:
            asked, labels = narrowed(self._statement, query)
            self._asked[shape] = Statement(asked), labels
        statement, labels = self._asked[shape]
        rows, before, after = _cut(
            await database.run(statement, {**values, **position_values(query)}),
            lambda row: tuple(row[label] for label in labels),
            query,
        )
        total = None
        if query.total:
            total = int((await database.run(self._counting, values))[0]["count"])
        return _page(make(rows), query, before, after, total)


def narrowed(statement: Selected, query: PageQuery) -> tuple[Selected, Sequence[str]]:
    """The statement for one page and one row more, which tells whether there is another page.

    And the names under which it selects what rows are sorted by. What differs between places of one
    shape comes by position_values().
    """
    keys, position = query.listing.keys(query.sort), query.position
    if position is not None and position.backward:
        keys = [_Key(key.column, not key.descending) for key in keys]
    labels: list[str] = []
    for n, key in enumerate(keys):
        selected = statement.selected_columns.corresponding_column(inspect(key.column))
        labels.append(f"{_LABEL}{n}" if selected is None else str(selected.key))
        if selected is None:
            statement = statement.add_columns(key.column.label(labels[-1]))
    if position is not None:
        statement = statement.where(_behind(keys, position))
    ordered = statement.order_by(*(key.ordered for key in keys))
    return ordered.limit(bindparam(_LIMIT, type_=Integer)), labels


def position_values(query: PageQuery) -> dict[str, Any]:
    """What narrowed() left open."""
    values = query.position.values if query.position else ()
    return {_LIMIT: query.limit + 1, **{f"{_LABEL}{n}": value for n, value in enumerate(values)}}


def _counting(statement: Selected) -> Selected:
    return select(func.count().label("count")).select_from(statement.subquery())


def _cut[R](
    rows: Sequence[R], marks: Callable[[R], tuple[Any, ...]], query: PageQuery
) -> tuple[list[R], Position | None, Position | None]:
    """The page's rows in order, and the positions of the pages before and behind it.

    On the side that one came from there was a row when the cursor was made, so there is a page; it
    turns out empty only when all its rows are gone.
    """
    position = query.position
    backward = position is not None and position.backward
    more = len(rows) > query.limit
    found = list(rows[: query.limit])
    if backward:
        found.reverse()
    if not found:
        if position is None:
            return found, None, None
        # Nothing is left that way: turn round. The row that the position names may be there yet.
        back = Position(position.values, not backward, not position.inclusive)
        return (found, None, back) if backward else (found, back, None)
    before = Position(marks(found[0]), backward=True)
    after = Position(marks(found[-1]))
    if backward:
        return found, (before if more else None), after
    return found, (before if position else None), (after if more else None)


def _page[T](
    items: list[T],
    query: PageQuery,
    before: Position | None,
    after: Position | None,
    total: int | None,
) -> Page[T]:
    return Page(
        items=items,
        next=query.codec.seal(after, query.context()) if after else None,
        previous=query.codec.seal(before, query.context()) if before else None,
        total=total,
    )


@dataclass(frozen=True, slots=True)
class _Key:
    column: SQLColumnExpression[Any]
    descending: bool

    @property
    def kind(self) -> TypeEngine[Any]:
        found: TypeEngine[Any] = inspect(self.column).type
        return found

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
    values = [
        None if value is None else bindparam(f"{_LABEL}{n}", type_=key.kind)
        for n, (key, value) in enumerate(zip(keys, position.values, strict=True))
    ]
    one_way = len({key.descending for key in keys}) == 1
    if one_way and not any(key.nullable for key in keys):
        # A comparison of rows is one condition that an index on these columns answers.
        row, there = tuple_(*(key.column for key in keys)), tuple_(*values)
        if keys[0].descending:
            return row <= there if position.inclusive else row < there
        return row >= there if position.inclusive else row > there
    steps = []
    for n, (key, value) in enumerate(zip(keys, values, strict=True)):
        equal = (k.same(v) for k, v in zip(keys[:n], values[:n], strict=True))
        steps.append(and_(*equal, key.behind(value)))
    if position.inclusive:
        steps.append(and_(*(k.same(v) for k, v in zip(keys, values, strict=True))))
    return or_(*steps)
