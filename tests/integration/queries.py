"""How many statements reach the database while a block runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Engine, event

_seen: ContextVar[list[str] | None] = ContextVar("seen", default=None)


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that this task causes, as they come; what begins and ends transactions is not.

    A test asserts a constant for its endpoint, with one row and with many: a query for each row
    makes it fail. What other tasks ask meanwhile, such as those that poll, does not count.
    """
    event.listen(Engine, "before_cursor_execute", _note)
    seen: list[str] = []
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)
        event.remove(Engine, "before_cursor_execute", _note)


def _note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    seen = _seen.get()
    # Tests turn transactions into savepoints.
    if seen is not None and not statement.startswith(("SAVEPOINT", "RELEASE SAVEPOINT")):
        seen.append(statement)
