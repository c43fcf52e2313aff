"""Keyset pagination while rows come and go: each row that stays is returned exactly once."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    Column,
    Float,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    delete,
    insert,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from fastapi_base.utils.pagination import (
    CompiledListing,
    CursorCodec,
    Listing,
    Page,
    PageQuery,
    Position,
    fetch,
)
from fastapi_base.utils.pagination.keyset import narrowed, position_values
from fastapi_base.utils.statements import Rows, Statement, Values

pytestmark = pytest.mark.anyio

THINGS = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("grade", Integer, nullable=True),
    Column("name", String, nullable=True),
    Column("size", Float, nullable=False),
    prefixes=["TEMPORARY"],
)
LISTING = Listing(
    "things",
    THINGS.c.id,
    {name: THINGS.c[name] for name in ("rank", "grade", "name", "size")},
    "rank",
)
CODEC = CursorCodec([b"secret"])

# Few distinct values, so that most rows tie in some column.
ROWS = st.fixed_dictionaries(
    {
        "rank": st.integers(0, 2),
        "grade": st.none() | st.integers(0, 2),
        "name": st.none() | st.sampled_from(["", "a", "B", "b", "ä", "a b", "z'"]),
        "size": st.sampled_from([0.1, 0.2, 1e300, float("inf"), float("nan")]),
    }
)
WALK = CompiledListing(select(THINGS.c.id))
SORTS = st.lists(
    st.sampled_from(LISTING.orders), max_size=4, unique_by=lambda order: order.removeprefix("-")
)
# Changes between two pages: inserted rows, and which visited rows are deleted.
CHANGES = st.lists(st.tuples(st.lists(ROWS, max_size=2), st.integers(0, 30)), min_size=2)
SEARCH = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
async def things(connection: AsyncConnection) -> AsyncConnection:
    await connection.run_sync(THINGS.create)
    return connection


async def fill(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    await connection.execute(delete(THINGS))
    await connection.execute(text("ALTER SEQUENCE things_id_seq RESTART"))
    await add(connection, rows)


async def add(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(insert(THINGS), rows)


async def page(
    connection: AsyncConnection, sort: Sequence[str], limit: int, cursor: str | None
) -> Page[int]:
    query = PageQuery(LISTING, CODEC, limit, tuple(sort))
    if cursor:
        position = CODEC.decode(cursor, query.context())
        query = PageQuery(LISTING, CODEC, limit, tuple(sort), position)
    found: Page[int] = await fetch(connection, select(THINGS.c.id), query, first)
    # The same with compiled statements.
    assert await WALK.fetch(Direct(connection), {}, query, ids) == found
    return found


class Direct:
    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    async def run(self, statement: Statement, values: Values) -> Rows:
        """Run with the driver itself, as EngineDatabase does."""
        raw = await self.connection.get_raw_connection()
        driver: Any = raw.driver_connection
        return statement.rows(await driver.fetch(statement.text, *statement.arguments(values)))


def ids(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    return [row["id"] for row in rows]


def first(row: Row[Any]) -> int:
    return int(row[0])


async def in_order(connection: AsyncConnection, sort: Sequence[str]) -> list[int]:
    """The whole list, as PostgreSQL itself sorts it."""
    wanted = list(sort) or ["rank"]
    way = "DESC" if wanted[0].startswith("-") else "ASC"
    order = [f"{o.removeprefix('-')} {'DESC' if o.startswith('-') else 'ASC'}" for o in wanted]
    statement = text(f"SELECT id FROM things ORDER BY {', '.join([*order, f'id {way}'])}")
    return list(await connection.scalars(statement))


@SEARCH
@given(st.lists(ROWS, max_size=20), SORTS, st.integers(1, 7))
async def test_pages_are_the_list_forwards_and_backwards(
    things: AsyncConnection, rows: list[dict[str, Any]], sort: list[str], limit: int
) -> None:
    await fill(things, rows)
    expected = await in_order(things, sort)
    found: list[int] = []
    pages: list[list[int]] = []
    cursor = None
    for _ in range(len(rows) + 1):
        here = await page(things, sort, limit, cursor)
        assert (here.previous is None) == (cursor is None)
        pages.append(here.items)
        found += here.items
        if here.next is None:
            break
        assert len(here.items) == limit
        cursor = here.next
    assert here.next is None
    assert found == expected
    # And backwards: the same pages.
    for earlier in reversed(pages[:-1]):
        assert here.previous
        here = await page(things, sort, limit, here.previous)
        assert here.items == earlier
        assert here.next
    assert here.previous is None


@SEARCH
@given(
    st.lists(ROWS, min_size=1, max_size=25),
    SORTS,
    st.integers(1, 5),
    CHANGES,
    st.booleans(),
)
async def test_each_remaining_row_is_returned_once_during_changes(
    things: AsyncConnection,
    rows: list[dict[str, Any]],
    sort: list[str],
    limit: int,
    changes: list[tuple[list[dict[str, Any]], int]],
    backwards: bool,
) -> None:
    await fill(things, rows)
    there = set(await in_order(things, sort))
    gone: set[int] = set()
    cursor: str | None = None
    if backwards:
        cursor = await cursor_of_the_end(things, sort)
    met: list[int] = []
    waiting = list(changes)
    for _ in range(len(rows) + 2 * len(changes) + 1):
        here = await page(things, sort, limit, cursor)
        met = [*here.items, *met] if backwards else [*met, *here.items]
        cursor = here.previous if backwards else here.next
        if cursor is None:
            break
        if waiting:
            added, victim = waiting.pop()
            await add(things, added)
            if here.items and victim % 2:
                # The very row at which the next page starts.
                victim = here.items[0] if backwards else here.items[-1]
            if await things.scalar(
                delete(THINGS).where(THINGS.c.id == victim).returning(text("1"))
            ):
                gone.add(victim)
                event("a row went")
    assert cursor is None
    assert len(met) == len(set(met))
    assert there - gone <= set(met)
    final = await in_order(things, sort)
    assert [thing for thing in met if thing not in gone] == [t for t in final if t in set(met)]


async def cursor_of_the_end(connection: AsyncConnection, sort: Sequence[str]) -> str | None:
    """Backwards from and including the last row."""
    last: Page[int] = await page(connection, sort, 1000, None)
    keys = LISTING.keys(sort)
    columns = [key.column for key in keys]
    row = (await connection.execute(select(*columns).where(THINGS.c.id == last.items[-1]))).one()
    query = PageQuery(LISTING, CODEC, 1, tuple(sort))
    return CODEC.encode(Position(tuple(row), backward=True, inclusive=True), query.context())


async def test_cursor_past_the_last_row_can_turn_back(things: AsyncConnection) -> None:
    await fill(things, [{"rank": n, "grade": None, "name": None, "size": 0.1} for n in range(6)])
    start = await page(things, ["rank"], 2, None)
    middle = await page(things, ["rank"], 2, start.next)
    await things.execute(delete(THINGS).where(THINGS.c.rank > 3))
    end = await page(things, ["rank"], 2, middle.next)
    assert (end.items, end.next) == ([], None)
    # The row of the cursor still exists, and is returned.
    assert (await page(things, ["rank"], 2, end.previous)).items == middle.items
    await things.execute(delete(THINGS).where(THINGS.c.rank < 2))
    beginning = await page(things, ["rank"], 2, middle.previous)
    assert (beginning.items, beginning.previous) == ([], None)
    assert (await page(things, ["rank"], 2, beginning.next)).items == middle.items


async def test_empty_list_has_no_neighbouring_pages(things: AsyncConnection) -> None:
    assert await page(things, [], 5, None) == Page(items=[])


async def test_total_counts_the_selected_rows_of_all_pages(things: AsyncConnection) -> None:
    await fill(things, [{"rank": n, "grade": None, "name": None, "size": 0.1} for n in range(6)])
    statement = select(THINGS.c.id).where(THINGS.c.rank > 0)
    query = PageQuery(LISTING, CODEC, 2, total=True)
    found = await fetch(things, statement, query, first)
    assert (len(found.items), found.total) == (2, 5)
    assert await CompiledListing(statement).fetch(Direct(things), {}, query, ids) == found


@pytest.mark.parametrize("sort", ["rank", "-rank"])
async def test_index_on_the_columns_finds_a_page(things: AsyncConnection, sort: str) -> None:
    """The condition is one row comparison, so distant pages are as cheap as the first."""
    query = PageQuery(LISTING, CODEC, 2, (sort,), Position((1, 7)))
    asked, _ = narrowed(select(THINGS.c.id), query)
    statement = asked.params(position_values(query)).compile(
        dialect=things.dialect, compile_kwargs={"literal_binds": True}
    )
    await things.execute(text("CREATE INDEX things_rank ON things (rank, id)"))
    # An empty table needs no index.
    for way in ["seqscan", "bitmapscan", "sort"]:
        await things.execute(text(f"SET LOCAL enable_{way} = off"))
    plan = "\n".join(await things.scalars(text(f"EXPLAIN {statement}")))
    assert "Index Cond: (ROW(rank, id) " in plan
    assert "Sort" not in plan


def test_default_must_be_an_offered_order() -> None:
    with pytest.raises(ValueError, match="things: 'id'"):
        Listing("things", THINGS.c.id, {"rank": THINGS.c.rank}, "id")
