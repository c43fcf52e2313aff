"""Counts the statements that reach the database while a block runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Engine, event


class Sent(str):
    """A statement as the database received it, with its parameters."""

    __slots__ = ("parameters",)
    parameters: Sequence[Any]

    @classmethod
    def of(cls, statement: str, parameters: Sequence[Any]) -> "Sent":
        """The statement with these parameters."""
        sent = cls(statement)
        sent.parameters = parameters
        return sent


_seen: ContextVar[list[Sent] | None] = ContextVar("seen", default=None)


@contextmanager
def counted() -> Iterator[list[Sent]]:
    """Records the statements of this task, except transaction control.

    A test asserts a constant for its endpoint, with one row and with many: a query per row makes it
    fail. Statements of other tasks, such as pollers, do not count.
    """
    event.listen(Engine, "before_cursor_execute", _note)
    seen: list[Sent] = []
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)
        event.remove(Engine, "before_cursor_execute", _note)


def _note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
    seen = _seen.get()
    # Tests turn transactions into savepoints.
    if seen is not None and not statement.startswith(("SAVEPOINT", "RELEASE SAVEPOINT")):
        seen.append(Sent.of(statement, parameters))
