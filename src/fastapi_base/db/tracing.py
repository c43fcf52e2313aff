"""Creates a span for each statement if tracing is enabled."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from sqlalchemy import Connection, ExceptionContext, event
from sqlalchemy.ext.asyncio import AsyncEngine

from fastapi_base.core.observability import tracing

_SPAN = "fastapi_base.span"


def install(engine: AsyncEngine) -> None:
    """Trace the statements of this engine: their text, never their parameters."""
    makes = tracing.tracer()
    if makes is None:
        return
    begin = _begin(makes, engine.url.database or "")
    event.listen(engine.sync_engine, "before_cursor_execute", begin)
    event.listen(engine.sync_engine, "after_cursor_execute", _end)
    event.listen(engine.sync_engine, "handle_error", _fail)


@contextmanager
def spanned(makes: Tracer | None, database: str, statement: str) -> Iterator[None]:
    """The span of a statement that is run through the driver, if tracing is enabled."""
    if makes is None:
        yield
        return
    span = _started(makes, database, statement)
    try:
        yield
    except BaseException as error:
        _failed(span, error)
        raise
    finally:
        span.end()


def _begin(makes: Tracer, database: str) -> Any:
    def begin(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        connection.info[_SPAN] = _started(makes, database, statement)

    return begin


def _started(makes: Tracer, database: str, statement: str) -> Span:
    verb = statement.split(None, 1)[0].upper() if statement.strip() else "SQL"
    return makes.start_span(
        verb,
        kind=SpanKind.CLIENT,
        attributes={
            "db.system.name": "postgresql",
            "db.namespace": database,
            "db.operation.name": verb,
            "db.query.text": statement,
        },
    )


def _end(connection: Connection, *_: Any) -> None:
    if span := connection.info.pop(_SPAN, None):
        span.end()


def _fail(failed: ExceptionContext) -> None:
    if failed.connection is not None and (span := failed.connection.info.pop(_SPAN, None)):
        _failed(span, failed.original_exception)
        span.end()


def _failed(span: Span, error: BaseException) -> None:
    # Only the type: a message may contain values.
    kind = type(error).__name__
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR, kind)
