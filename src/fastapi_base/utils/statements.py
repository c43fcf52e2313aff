"""Statements that are compiled once, for what is asked all the time.

SQLAlchemy finds a statement's text anew for each call, and wraps cursor and rows: several times the
work of asyncpg itself. Where a statement's shape is known beforehand, all of that can be done once.
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
    """A statement made once, at import; what differs from call to call comes by bindparam().

    An INSERT names with `columns` which of them it is given values for. Rows come as mappings by
    the names of what is selected, or returned.
    """

    def __init__(self, clause: Clause, columns: Sequence[str] | None = None) -> None:
        self.clause = clause
        self.reads = isinstance(clause, Select)
        self._columns = columns

    @cached_property
    def _compiled(self) -> Any:
        # Late, so that all models are known.
        return self.clause.compile(
            dialect=_DIALECT, column_keys=None if self._columns is None else list(self._columns)
        )

    @cached_property
    def text(self) -> str:
        """What PostgreSQL gets."""
        return str(self._compiled)

    @cached_property
    def _parameters(self) -> list[tuple[str, bool, Any, _Process]]:
        """Of each its name, whether it must be given, what it is otherwise, and how it is sent."""
        compiled = self._compiled
        defaults = {}
        for column in [*compiled.insert_prefetch, *compiled.update_prefetch]:
            if not column.default.is_scalar:
                raise TypeError(f"{column} has a default that is made for each row; give it")
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
        """What makes of the driver's values those of the column, where they differ."""
        found = {
            str(key): column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, oid)
            for key, column in self.clause.exported_columns.items()
            for oid in [_oid(column.type)]
        }
        return {key: process for key, process in found.items() if process}

    def arguments(self, values: Values) -> list[Any]:
        """For the driver, in order. Raises KeyError for what has no value."""
        return [
            process(value) if process else value
            for name, required, default, process in self._parameters
            for value in [values[name] if required else values.get(name, default)]
        ]

    def rows(self, records: Sequence[Any]) -> Rows:
        """The driver's records with the values of their columns' types."""
        if not self._converted:
            return [dict(record) for record in records]
        return [
            {**record, **{key: make(record[key]) for key, make in self._converted.items()}}
            for record in records
        ]


def _oid(kind: TypeEngine[Any]) -> int | None:
    """PostgreSQL's number for the type, where the conversion depends on it (pg_type.dat)."""
    if isinstance(kind, Float):
        return 701
    return 1700 if isinstance(kind, Numeric) else None


class Runs(Protocol):
    """What runs statements: the database, each as a transaction of its own, or a session."""

    async def run(self, statement: Statement, values: Values) -> Rows:
        """Its rows; none for one that returns none."""
        ...


class InSession:
    """Runs statements in the session's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def run(self, statement: Statement, values: Values) -> Rows:
        """See Runs."""
        return await execute(await self._session.connection(), statement, values)


async def execute(connection: AsyncConnection, statement: Statement, values: Values) -> Rows:
    """Run it by SQLAlchemy, in the transaction of the connection."""
    result = await connection.execute(statement.clause, values)
    return [*result.mappings()] if result.returns_rows else []
