"""A span for each statement, where tracing is on."""

from typing import Any

from opentelemetry.trace import SpanKind, StatusCode, Tracer
from sqlalchemy import Connection, ExceptionContext, event
from sqlalchemy.ext.asyncio import AsyncEngine

from fastapi_base.core import tracing

_SPAN = "fastapi_base.span"


def install(engine: AsyncEngine) -> None:
    """Trace the statements of this engine. Their text is sent, their values never are."""
    makes = tracing.tracer()
    if makes is None:
        return
    begin = _begin(makes, engine.url.database or "")
    event.listen(engine.sync_engine, "before_cursor_execute", begin)
    event.listen(engine.sync_engine, "after_cursor_execute", _end)
    event.listen(engine.sync_engine, "handle_error", _fail)


def _begin(makes: Tracer, database: str) -> Any:
    def begin(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        verb = statement.split(None, 1)[0].upper() if statement.strip() else "SQL"
        connection.info[_SPAN] = makes.start_span(
            verb,
            kind=SpanKind.CLIENT,
            attributes={
                "db.system.name": "postgresql",
                "db.namespace": database,
                "db.operation.name": verb,
                "db.query.text": statement,
            },
        )

    return begin


def _end(connection: Connection, *_: Any) -> None:
    if span := connection.info.pop(_SPAN, None):
        span.end()


def _fail(failed: ExceptionContext) -> None:
    if failed.connection is not None and (span := failed.connection.info.pop(_SPAN, None)):
        # The kind only: a message may hold values.
        kind = type(failed.original_exception).__name__
        span.set_attribute("error.type", kind)
        span.set_status(StatusCode.ERROR, kind)
        span.end()
