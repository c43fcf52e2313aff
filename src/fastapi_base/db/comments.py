"""Adds the id of the request or task to each statement, as an SQL comment.

It relates entries of PostgreSQL's log, pg_stat_activity and auto_explain to their request. The
format is sqlcommenter's: ordered key='value' pairs, both URL-encoded, after the statement.
"""

from typing import Any
from urllib.parse import quote

import structlog
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

_NAMED = ("request_id", "task", "task_id", "trace_id")


def install(engine: AsyncEngine) -> None:
    """Add a comment to each statement of this engine that a request or a task issues."""
    event.listen(engine.sync_engine, "before_cursor_execute", _comment, retval=True)


def _comment(
    _connection: Connection,
    _cursor: Any,
    statement: str,
    parameters: Any,
    _context: Any,
    _many: bool,
) -> tuple[str, Any]:
    known = structlog.contextvars.get_contextvars()
    # Encoded, so that no value can end the comment.
    pairs = [f"{key}='{quote(str(known[key]), safe='')}'" for key in _NAMED if key in known]
    return (f"{statement} /*{','.join(pairs)}*/" if pairs else statement), parameters
