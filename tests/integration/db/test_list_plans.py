"""List pages and periodic queries read about as many rows as they return, at any table size.

The lists come from the OpenAPI description: a new one fails here until its table is filled
(filling.py) and its filters have values (VALUES). Each combination of order, filters and page is
requested over HTTP, and each statement that the service sent for it is run again and explained.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import combinations, cycle, islice
from typing import Any

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI

from fastapi_base.core.config import Settings
from fastapi_base.core.security.passwords import hash_password
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services.items import items  # slice: items
from fastapi_base.services.jobs import backlog, deaths, outbox
from fastapi_base.services.privacy import purge
from fastapi_base.services.statistics import statistics  # slice: statistics
from fastapi_base.utils.pagination import keyset
from tests.integration.accounts import PASSWORD, bearer, log_in
from tests.integration.conftest import TEMPLATE
from tests.integration.databases import clone, drop, sibling
from tests.integration.explaining import PLANNED, Explainer, Reads, explaining, reads
from tests.integration.filling import EMAILS, HEAVY, LIGHT, ROOT, ROWS, statements
from tests.integration.queries import Sent, counted

pytestmark = pytest.mark.anyio

FILLED = 40_000
LIMIT = 50
BOUND = 500
# A page and one more row, the rows of a merge, and the authentication of the caller. Unpaginated
# lists return at most 100 rows.
MOST = Reads(rows=128, sorted=101, blocks=256)
# Filter values: one of most rows, one of few rows, one of no row.
PAST, SOON = "2000-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
SINCE, UNTIL = (PAST, SOON, SOON), (SOON, PAST, PAST)
JOBS = {
    "status": ("succeeded", "failed", "running"),
    "kind": ("word-count", "account-export", "none"),
    "created_from": SINCE,
    "created_before": UNTIL,
}
VALUES: dict[str, dict[str, tuple[str, str, str]]] = {
    "/api/v1/jobs": JOBS,
    "/api/v1/users": {
        "email_prefix": ("a", "heavy@", "~"),
        "is_active": ("true", "false", "false"),
        "is_superuser": ("false", "true", "true"),
        "created_from": SINCE,
        "created_before": UNTIL,
    },
    "/api/v1/audit-events": {
        "actor_id": (str(HEAVY), str(ROOT), str(LIGHT)),
        "subject_id": (str(HEAVY), str(LIGHT), str(ROOT)),
        "action": ("login.failed", "account.deleted", "none"),
        "occurred_from": SINCE,
        "occurred_before": UNTIL,
    },
}
ITEM = {"title_prefix": ("i", "rare", "zz"), "created_from": SINCE, "created_before": UNTIL}
VALUES["/api/v1/items"] = ITEM  # slice: items
# Which of the three each filter of a combination gets, in turn.
ALONE = ((0,), (1,), (2,))
MIXED = ((0,), (0, 2), (2, 0))
PAGING = {"limit", "cursor", "sort", "total"}


@pytest.fixture(scope="module")
def filled_url(admin_url: str, worker_number: int) -> Iterator[str]:
    """A database with FILLED rows in each listed table."""
    name = f"service_{worker_number}_filled"
    url = sibling(admin_url, name)

    async def fill() -> None:
        await clone(admin_url, name, TEMPLATE)
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            for statement in statements(FILLED, hash_password(PASSWORD, 4)):
                await connection.execute(statement)
            await connection.execute("VACUUM ANALYZE")
        finally:
            await connection.close()

    asyncio.run(fill())
    yield url
    asyncio.run(drop(admin_url, name))


@pytest.fixture
def settings(make_settings: Callable[[str], Settings], filled_url: str) -> Settings:
    """Settings for the filled database."""
    return make_settings(filled_url)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[EngineDatabase]:
    """The filled database; all statements go through SQLAlchemy, whose events record them."""
    engine = create_engine(settings.database)
    yield EngineDatabase(engine)
    await engine.dispose()


@pytest.fixture
async def explainer(filled_url: str) -> AsyncIterator[Explainer]:
    async with explaining(filled_url) as made:
        yield made


@dataclass
class Seen:
    """The requests, their statements, and the problems found in either."""

    explainer: Explainer
    asked: dict[tuple[str, ...], Sent] = field(default_factory=dict)
    where: dict[tuple[str, ...], str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)

    def note(self, where: str, sent: list[Sent]) -> None:
        """Record each statement with its values once, except authentication, whose values contain
        the time.
        """
        for one in sent:
            key = (str(one), *("" if isinstance(v, datetime) else repr(v) for v in one.parameters))
            self.asked.setdefault(key, one)
            self.where.setdefault(key, where)

    async def judge(self, most: Reads = MOST) -> None:
        """Explain each statement PLANNED times, and then once with each of its values."""
        by_text: dict[str, list[tuple[str, ...]]] = {}
        for key in self.asked:
            by_text.setdefault(key[0], []).append(key)
        for keys in by_text.values():
            for key in islice(cycle(keys), PLANNED + len(keys)):
                sent = self.asked[key]
                plan = await self.explainer.plan(sent)
                found = reads(plan)
                self.tables |= relations(plan)
                if (
                    found.rows > most.rows
                    or found.sorted > most.sorted
                    or found.blocks > most.blocks
                ):
                    self.wrong.append(f"{self.where[key]}: {found}: {sent} {sent.parameters}")


def relations(plan: Mapping[str, Any]) -> set[str]:
    """The tables that a plan reads."""
    below = [relations(child) for child in plan.get("Plans", ())]
    return set().union(*below) | ({plan["Relation Name"]} if "Relation Name" in plan else set())


def lists(app: FastAPI) -> dict[str, dict[str, Any]]:
    """The paths whose GET reply is a list or a page, with their query parameters."""
    description = app.openapi()
    found = {}
    for path, operations in description["paths"].items():
        content = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        schema = resolved(description, schema)
        paged = schema.get("properties", {}).get("items", {}).get("type") == "array"
        if "{" not in path and (schema.get("type") == "array" or paged):
            given = operations["get"].get("parameters", [])
            found[path] = {
                one["name"]: resolved(description, one["schema"])
                for one in given
                if one["in"] == "query"
            }
    return found


def resolved(description: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or the one that it refers to."""
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = description["components"]["schemas"][name] if name else schema
    return found


def orders(parameters: Mapping[str, Any]) -> list[str | None]:
    """None, and each order that the list offers."""
    if "sort" not in parameters:
        return [None]
    return [None, *parameters["sort"]["enum"]]


def combined(path: str, names: set[str]) -> Iterator[dict[str, str]]:
    """Each set of filters, with the values of each mix."""
    values = VALUES.get(path, {})
    for count in range(len(names) + 1):
        for some in combinations(sorted(names), count):
            mixes = MIXED if count > 1 else ALONE if count else MIXED[:1]
            yield from (
                {name: values[name][mix[n % len(mix)]] for n, name in enumerate(some)}
                for mix in mixes
            )


async def ask(seen: Seen, client: httpx2.AsyncClient, url: str, **given: Any) -> httpx2.Response:
    """The reply; its statements are recorded."""
    with counted() as sent:
        reply = await client.get(url, **given)
    asked = reply.request.url.raw_path.decode()
    if reply.status_code == 200:
        seen.note(asked, sent)
    elif reply.status_code == 422:
        [problem] = reply.json()["errors"]
        # The error lists the combinations on offer.
        if not any(word in problem["message"] for word in ("sort must be", "cannot be combined")):
            seen.wrong.append(f"{asked}: {reply.text}")
    return reply


async def walk(
    seen: Seen,
    client: httpx2.AsyncClient,
    headers: Mapping[str, str],
    path: str,
    parameters: Mapping[str, Any],
) -> int:
    """Request all pages that a caller can select; returns the number of offered combinations."""
    offered = 0
    refused = set()
    paged = {"limit": LIMIT} if "limit" in parameters else {}
    for filters in combined(path, set(parameters) - PAGING):
        for order in orders(parameters):
            combination = (frozenset(filters), order)
            if combination in refused:
                continue
            query = {**filters, **paged, **({"sort": order} if order else {})}
            reply = await ask(seen, client, path, params=query, headers=headers)
            if reply.status_code == 403:
                return 0
            # Each single filter and each single order is on offer.
            plain = len(filters) + (order is not None) <= 1
            assert reply.status_code == 200 or (reply.status_code == 422 and not plain), reply.text
            offered += reply.status_code == 200
            if reply.status_code == 422:
                refused.add(combination)
            if following := reply.links.get("next"):
                second = await ask(seen, client, following["url"], headers=headers)
                await ask(seen, client, second.links["prev"]["url"], headers=headers)
    return offered


async def test_every_combination_of_order_and_filters_reads_about_a_page(
    app: FastAPI, client: httpx2.AsyncClient, explainer: Explainer
) -> None:
    found = lists(app)
    assert {"/api/v1/jobs", "/api/v1/users", "/api/v1/sessions"} <= set(found)
    seen = Seen(explainer)
    callers = [bearer(await log_in(client, EMAILS[account])) for account in (HEAVY, ROOT)]
    for path, parameters in found.items():
        unknown = set(parameters) - PAGING - set(VALUES.get(path, {}))
        assert not unknown, f"{path}: VALUES has no values for {sorted(unknown)}"
        counts = [await walk(seen, client, headers, path, parameters) for headers in callers]
        assert max(counts), f"{path} is refused to every caller"
    await seen.judge()
    assert seen.wrong == []
    # Each request reads the caller's stamp, by its scope.
    unfilled = seen.tables - set(ROWS) - {"cache_stamps"}
    assert not unfilled, f"filling.py has no rows for {sorted(unfilled)}"


async def test_totals_are_bounded(
    app: FastAPI,
    client: httpx2.AsyncClient,
    explainer: Explainer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The ratio of FILLED rows to these is that of a million to the bound.
    monkeypatch.setattr(keyset, "TOTAL_BOUND", BOUND)
    seen = Seen(explainer)
    headers = bearer(await log_in(client, EMAILS[ROOT]))
    for path, parameters in lists(app).items():
        if "total" not in parameters:
            continue
        for filters in combined(path, set(parameters) - PAGING):
            query = {**filters, "limit": 1, "total": True}
            reply = await ask(seen, client, path, params=query, headers=headers)
            if reply.status_code == 200:
                page = reply.json()
                assert page["total"] <= BOUND
                assert page["total_is_exact"] == (page["total"] < BOUND)
    # A bitmap scan of few rows counts the rows of the index and of the table.
    most = Reads(2 * BOUND + MOST.rows, BOUND + 1, BOUND + MOST.blocks)
    await seen.judge(most)
    assert seen.wrong == []


async def test_periodic_queries_read_little_when_there_is_little_to_do(
    database: EngineDatabase, settings: Settings, explainer: Explainer
) -> None:
    with counted() as sent:
        assert not any((await purge.purge(database, settings)).values())
        assert not await items.purge(database)  # slice: items
        # begin slice: statistics
        async with database.transaction() as session:
            begin = datetime(2999, 1, 1, tzinfo=UTC)
            for figure in statistics.FIGURES.values():
                assert not await session.scalar(figure(begin, begin + timedelta(days=1)))
        # end slice: statistics
        await outbox.republish(database, timedelta(minutes=5), 100)
        await deaths.recover(database)
        await deaths.crashing_kinds(database)
        async with database.read() as connection:
            await backlog.count(connection, most=10)
            await backlog.late(connection, ["purge"])
    seen = Seen(explainer)
    seen.note("by the clock", sent)
    await seen.judge()
    assert seen.wrong == []
