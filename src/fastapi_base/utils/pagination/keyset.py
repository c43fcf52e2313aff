"""Statements for one page: the rows after a position, in a total order.

Each order ends with the primary key, so that no two rows compare equal. Rows that are inserted or
deleted between requests therefore neither shift nor split a page: walking a list returns each
remaining row once. (A row whose sort values change moves in the list, and may be returned twice or
not at all.)
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    func,
    inspect,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from fastapi_base.utils.pagination.cursor import Position
from fastapi_base.utils.pagination.listing import Key, Listing, PageQuery
from fastapi_base.utils.pagination.page import TOTAL_BOUND, Page
from fastapi_base.utils.statements import Statement, StatementRunner, Values

_LABEL = "keyset_"
_LIMIT = "keyset_limit"
_BOUND = "keyset_bound"

type Selected = Select[*tuple[Any, ...]]


async def fetch[T](
    connection: AsyncConnection | AsyncSession,
    statement: Selected,
    query: PageQuery,
    make: Callable[[Row[Any]], T],
    branches: Sequence[ColumnElement[bool]] = (),
) -> Page[T]:
    """One page of the rows that the statement selects.

    The statement must have no order and no limit. `branches` are conditions of which each row
    satisfies exactly one, such as one per state. PostgreSQL then reads one index in order for each
    branch and merges the results, so that an index on (state, created_at, id) serves lists with and
    without a filter on the state.
    """
    asked, labels = narrowed(statement, query, branches)
    rows, before, after = _cut(
        (await connection.execute(asked, position_values(query))).all(),
        lambda row: tuple(row._mapping[label] for label in labels),
        query,
    )
    total = None
    if query.total:
        counting = _counting(statement, query, branches)
        counted = await connection.execute(counting, {_BOUND: TOTAL_BOUND + 1})
        total = int(counted.scalar_one())
    return _page([make(row) for row in rows], query, before, after, total)


class CompiledListing:
    """Like fetch(), for a statement that is built once, with bindparam() for varying values.

    Each combination of order and position shape is compiled once.
    """

    def __init__(self, statement: Selected, branches: Sequence[ColumnElement[bool]] = ()) -> None:
        self._statement = statement
        self._branches = branches
        # Clients choose from a fixed set of sort orders, so these caches are bounded.
        self._counting: dict[tuple[str, ...], Statement] = {}
        self._asked: dict[Hashable, tuple[Statement, Sequence[str]]] = {}

    async def fetch[T](
        self,
        database: StatementRunner,
        values: Values,
        query: PageQuery,
        make: Callable[[Sequence[Mapping[str, Any]]], list[T]],
    ) -> Page[T]:
        """One page; `make` converts its rows, which are mappings, to items."""
        shape = (query.sort, query.position and query.position.shape)
        if shape not in self._asked:
            asked, labels = narrowed(self._statement, query, self._branches)
            self._asked[shape] = Statement(asked), labels
        statement, labels = self._asked[shape]
        rows, before, after = _cut(
            await database.run(statement, {**values, **position_values(query)}),
            lambda row: tuple(row[label] for label in labels),
            query,
        )
        total = None
        if query.total:
            if query.sort not in self._counting:
                counting = _counting(self._statement, query, self._branches)
                self._counting[query.sort] = Statement(counting)
            bounded = {**values, _BOUND: TOTAL_BOUND + 1}
            total = int((await database.run(self._counting[query.sort], bounded))[0]["count"])
        return _page(make(rows), query, before, after, total)


def first(
    most: int | BindParameter[int],
    statement: Selected,
    listing: Listing,
    sort: Sequence[str] = (),
    branches: Sequence[ColumnElement[bool]] = (),
) -> Selected:
    """The statement for the first rows of a list, without pagination; see fetch()."""
    keys = listing.keys(sort)
    statement, labels = _labelled(statement, keys)
    return _first(most, statement, keys, labels, branches)


def narrowed(
    statement: Selected, query: PageQuery, branches: Sequence[ColumnElement[bool]] = ()
) -> tuple[Selected, Sequence[str]]:
    """The statement for one page plus one row, which shows whether there is another page.

    Also returns the labels of the selected sort columns. position_values() supplies the parameters,
    which differ between positions of the same shape.
    """
    keys, position = query.listing.keys(query.sort), query.position
    if position is not None and position.backward:
        keys = [Key(key.column, not key.descending) for key in keys]
    statement, labels = _labelled(statement, keys)
    if position is not None:
        statement = statement.where(_behind(keys, position))
    most = bindparam(_LIMIT, type_=Integer)
    return _first(most, statement, keys, labels, branches), labels


def _labelled(statement: Selected, keys: Sequence[Key]) -> tuple[Selected, list[str]]:
    """The statement with all sort columns selected, and their labels."""
    labels: list[str] = []
    for n, key in enumerate(keys):
        selected = statement.selected_columns.corresponding_column(inspect(key.column))
        labels.append(f"{_LABEL}{n}" if selected is None else str(selected.key))
        if selected is None:
            statement = statement.add_columns(key.column.label(labels[-1]))
    return statement, labels


def _first(
    most: int | BindParameter[int],
    statement: Selected,
    keys: Sequence[Key],
    labels: Sequence[str],
    branches: Sequence[ColumnElement[bool]],
) -> Selected:
    """The first rows in this order, merged from the branches.

    Each branch has an order and a limit too. PostgreSQL therefore merges the branches while it
    reads them, instead of sorting all of their rows.
    """
    parts = [
        one.order_by(*(key.ordered() for key in keys)).limit(most)
        for one in ([statement.where(branch) for branch in branches] or [statement])
    ]
    if len(parts) == 1:
        return parts[0]
    merged = union_all(*parts).subquery("merged")
    order = (key.ordered(merged.c[label]) for key, label in zip(keys, labels, strict=True))
    return select(*merged.c).order_by(*order).limit(most)


def position_values(query: PageQuery) -> dict[str, Any]:
    """The parameters of the statement from narrowed()."""
    values = query.position.values if query.position else ()
    return {_LIMIT: query.limit + 1, **{f"{_LABEL}{n}": value for n, value in enumerate(values)}}


def _counting(
    statement: Selected, query: PageQuery, branches: Sequence[ColumnElement[bool]] = ()
) -> Selected:
    """The number of rows, counted up to TOTAL_BOUND + 1.

    It uses the order of the list, so that PostgreSQL reads a bounded part of the same index as for
    the page. Without an order, it may scan the table from the beginning.
    """
    columns = (key.column for key in query.listing.keys(query.sort))
    some = first(
        bindparam(_BOUND, type_=Integer),
        statement.with_only_columns(*columns),
        query.listing,
        query.sort,
        branches,
    )
    return select(func.count().label("count")).select_from(some.subquery())


def _cut[R](
    rows: Sequence[R], marks: Callable[[R], tuple[Any, ...]], query: PageQuery
) -> tuple[list[R], Position | None, Position | None]:
    """The page's rows in order, and the positions of the previous and next pages.

    The direction from which the client came had a row when the cursor was created, so a page is
    offered there; it is empty only if all of its rows have been deleted.
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
        # No rows are left in this direction: turn around. The row of the position may still exist.
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
        next=query.codec.encode(after, query.context()) if after else None,
        previous=query.codec.encode(before, query.context()) if before else None,
        total=None if total is None else min(total, TOTAL_BOUND),
        total_is_exact=None if total is None else total <= TOTAL_BOUND,
    )


def _behind(keys: Sequence[Key], position: Position) -> ColumnElement[bool]:
    """The condition for the rows that follow the position in this order."""
    values = [
        None if value is None else bindparam(f"{_LABEL}{n}", type_=key.kind)
        for n, (key, value) in enumerate(zip(keys, position.values, strict=True))
    ]
    one_way = len({key.descending for key in keys}) == 1
    if one_way and not any(key.nullable for key in keys):
        # A row comparison is a single condition that an index on these columns can serve.
        row, there = tuple_(*(key.compared for key in keys)), tuple_(*values)
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
