"""How much PostgreSQL reads for a statement, from the plan that it actually ran."""

import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg

from tests.integration.queries import Sent

_EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF, FORMAT JSON)"
_REMOVED = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
# The executions of a prepared statement that PostgreSQL plans for their values. It may then use one
# plan for all values (https://www.postgresql.org/docs/17/sql-prepare.html).
PLANNED = 5
type Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reads:
    """What was read: rows of tables and indexes including filtered ones, the most rows of a single
    sort, and blocks of 8 kB, which also reveal index entries that were skipped.
    """

    rows: int
    sorted: int
    blocks: int


def reads(plan: Node) -> Reads:
    """The reads of all nodes of an analysed plan."""
    nodes = list(_nodes(plan))
    return Reads(
        rows=sum(_read(node) for node in nodes if node["Node Type"].endswith("Scan")),
        sorted=max((_rows(c) for n in nodes for c in _inputs(n, "Sort")), default=0),
        blocks=int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]),
    )


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _inputs(node: Node, kind: str) -> list[Node]:
    return list(node["Plans"]) if node["Node Type"].endswith(kind) else []


def _rows(node: Node) -> int:
    return int(node["Actual Rows"] * node["Actual Loops"])


def _read(node: Node) -> int:
    if node["Node Type"] in {"Subquery Scan", "CTE Scan", "WorkTable Scan", "Function Scan"}:
        return 0  # They read the output of other nodes.
    return _rows(node) + sum(int(node.get(key, 0) * node["Actual Loops"]) for key in _REMOVED)


class Explainer:
    """Runs prepared statements on one connection, as the service does.

    Run each statement more than PLANNED times to see the plan that PostgreSQL settles on.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._names: dict[str, str] = {}

    async def plan(self, sent: Sent) -> Node:
        """The plan of the statement, which is run and rolled back."""
        if sent not in self._names:
            self._names[str(sent)] = f"statement_{len(self._names)}"
            await self._connection.execute(f"PREPARE {self._names[sent]} AS {sent}")
        values = ", ".join(_literal(value) for value in sent.parameters)
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            run = f"EXECUTE {self._names[sent]}" + (f"({values})" if values else "")
            found = await self._connection.fetchval(f"{_EXPLAIN} {run}")
        finally:
            await transaction.rollback()
        plan: Node = json.loads(found)[0]["Plan"]
        return plan


@asynccontextmanager
async def explaining(url: str) -> AsyncIterator[Explainer]:
    """An explainer with its own connection."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        yield Explainer(connection)
    finally:
        await connection.close()


def _literal(value: Any) -> str:
    """The value as an SQL literal; its type follows from its context."""
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value).lower()
    return "'" + _text(value).replace("'", "''") + "'"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "{" + ",".join(_text(one) for one in value) + "}"
    if isinstance(value, timedelta):
        return f"{value.total_seconds()} seconds"
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, str | uuid.UUID):
        return str(value)
    raise TypeError(f"no literal for {type(value).__name__}")
