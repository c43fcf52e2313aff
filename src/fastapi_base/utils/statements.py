"""Compiled statements, for frequent queries.

For each call, SQLAlchemy looks up the compiled text of a statement and wraps the cursor and its
rows, which costs several times as much as asyncpg itself. If the shape of a statement is known in
advance, this work can be done once.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from sqlalchemy import Delete, Float, Insert, Numeric, Select, Update
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine
from sqlmodel.ext.asyncio.session import AsyncSession

Values = Mapping[str, Any]
type Rows = Sequence[Mapping[str, Any]]
type Clause = Select[*tuple[Any, ...]] | Insert | Update | Delete
type _Process = Callable[[Any], Any] | None

_DIALECT: Any = PGDialect_asyncpg()  # type: ignore[no-untyped-call]


class Statement:
    """A statement that is built once, at import, with bindparam() for varying values.

    For an INSERT, `columns` names those that get values. Rows are returned as mappings with the
    names of the selected or returned columns.
    """

    def __init__(self, clause: Clause, columns: Sequence[str] | None = None) -> None:
        self.clause = clause
        self.reads = isinstance(clause, Select)
        self._columns = columns

    @cached_property
    def _compiled(self) -> Any:
        # Compiled lazily, after all models are defined.
        return self.clause.compile(
            dialect=_DIALECT, column_keys=None if self._columns is None else list(self._columns)
        )

    @cached_property
    def text(self) -> str:
        """The SQL text that PostgreSQL receives."""
        return str(self._compiled)

    @cached_property
    def _parameters(self) -> list[tuple[str, bool, Any, _Process]]:
        """For each parameter: name, whether it is required, default, and bind processor."""
        compiled = self._compiled
        defaults = {}
        for column in [*compiled.insert_prefetch, *compiled.update_prefetch]:
            if not column.default.is_scalar:
                raise TypeError(
                    f"{column} has a default that is computed for each row; pass a value"
                )
            defaults[column.key] = column.default.arg
        return [
            (
                bind.key,
                bind.required and bind.key not in defaults,
                defaults.get(bind.key, bind.value),
                bind.type.dialect_impl(_DIALECT).bind_processor(_DIALECT),
            )
            for bind in (compiled.binds[name] for name in compiled.positiontup)
        ]

    @cached_property
    def _converted(self) -> dict[str, Callable[[Any], Any]]:
        """Result processors of columns whose values differ from the driver's."""
        found = {
            str(key): column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, oid)
            for key, column in self.clause.exported_columns.items()
            for oid in [_oid(column.type)]
        }
        return {key: process for key, process in found.items() if process}

    def arguments(self, values: Values) -> list[Any]:
        """The driver's positional arguments. Raises KeyError for a missing value."""
        return [
            process(value) if process else value
            for name, required, default, process in self._parameters
            for value in [values[name] if required else values.get(name, default)]
        ]

    def rows(self, records: Sequence[Any]) -> Rows:
        """Convert the driver's records to mappings with values of the columns' types."""
        if not self._converted:
            return [dict(record) for record in records]
        return [
            {**record, **{key: make(record[key]) for key, make in self._converted.items()}}
            for record in records
        ]


def _oid(kind: TypeEngine[Any]) -> int | None:
    """PostgreSQL's OID of the type, if the conversion depends on it (pg_type.dat)."""
    if isinstance(kind, Float):
        return 701
    return 1700 if isinstance(kind, Numeric) else None


class StatementRunner(Protocol):
    """Runs statements: a database, each in its own transaction, or a session."""

    async def run(self, statement: Statement, values: Values) -> Rows:
        """The rows of the statement; empty if it returns none."""
        ...


class InSession:
    """Runs statements in the session's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def run(self, statement: Statement, values: Values) -> Rows:
        """See StatementRunner."""
        return await execute(await self._session.connection(), statement, values)


async def execute(connection: AsyncConnection, statement: Statement, values: Values) -> Rows:
    """Run the statement through SQLAlchemy, in the transaction of the connection."""
    result = await connection.execute(statement.clause, values)
    return [*result.mappings()] if result.returns_rows else []
