"""Logging: one line per event, as JSON or for a console, with request id and without secrets.

The only place that configures logging, for gunicorn, uvicorn, Celery, Alembic and the service.
"""

import io
import json
import logging
import logging.config
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from fastapi_base.core.config.observability import LogSettings
from fastapi_base.core.observability import crashes
from fastapi_base.core.observability.log_levels import Levels
from fastapi_base.core.observability.log_queue import CONTEXT, WriteBehind
from fastapi_base.core.observability.redaction import REDACTED, redact, redact_text, secret_key

_READY = "_is_ready"
_OF_LINES = ("exception", "stack")
# Characters that could start a line or move a terminal's cursor, and lone surrogates, which no
# encoding can represent.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def configure_logging(settings: LogSettings, to: Literal["stderr", "stdout"] = "stderr") -> None:
    """Route all log records of the service and its libraries, and unhandled errors, to one handler.

    Services log to standard output. Commands log to standard error, because their results go to
    standard output.
    """
    crashes.install()
    stream = getattr(sys, to)
    if isinstance(stream, io.TextIOWrapper):
        # As JSON requires. Another encoding would lose each line with a character beyond it.
        stream.reconfigure(encoding="utf-8")
    # Log lines contain none of these values, and computing them costs more than the rest of a
    # record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.logAsyncioTasks = False  # type: ignore[attr-defined]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"event": {"()": lambda: _formatter(settings, stream)}},
            "handlers": {
                "stream": {
                    "class": "logging.StreamHandler",
                    "formatter": "event",
                    "stream": f"ext://sys.{to}",
                }
            },
            "root": {"handlers": ["stream"], "level": settings.level},
            "loggers": {
                # The service writes its own access log; these would duplicate it.
                "uvicorn.access": {"handlers": [], "propagate": False},
                "uvicorn.error": {"level": "INFO"},
                # They log arguments and results, which belong to callers, and repeat each task; see
                # tasks/logs.py.
                "celery.app.trace": {"level": "WARNING"},
                "celery.worker.strategy": {"level": "WARNING"},
            },
        }
    )
    Levels(settings).apply()


def log_ready(logger: logging.Logger, event: dict[str, Any]) -> None:
    """Log a per-request event at level INFO with minimal overhead.

    Context variables are added. Nothing is redacted: the caller must have done so.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    ready = {
        **event,
        **structlog.contextvars.get_contextvars(),
        "level": "info",
        "logger": logger.name,
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    marks = {"_logger": logger, "_name": "info", _READY: True}
    logger.handle(logger.makeRecord(logger.name, logging.INFO, "", 0, ready, (), None, extra=marks))


def write_behind(settings: LogSettings, stream: TextIO) -> None:
    """Start a thread that writes log lines and one that watches LOG_LEVELS_FILE.

    Call it once, in a process that serves requests, after configure_logging(). A process that is
    forked later has neither thread: it writes its lines at once.
    """
    if settings.queue_lines:
        handler = WriteBehind(stream, settings.queue_lines)
        handler.setFormatter(_formatter(settings, stream))
        logging.getLogger().handlers[:] = [handler]
    watch_levels(settings)


def watch_levels(settings: LogSettings) -> None:
    """Watch LOG_LEVELS_FILE in this process."""
    Levels(settings).watch()


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        # In the thread that logs: the writer thread has no current exception.
        crashes.render_exception,
    ]


def _formatter(settings: LogSettings, stream: TextIO) -> logging.Formatter:
    last: list[Processor]
    make = _Formatter
    if settings.format == "json":
        make = _JsonFormatter
        last = [structlog.processors.JSONRenderer(serializer=_dumps)]
    else:
        console = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        last = [_printable, console]
    return make(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _redact_event,
            *last,
        ],
        foreign_pre_chain=[_taken, *_shared()],
    )


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Never raises: a record that cannot be rendered becomes a line that reports the error."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception as error:
            return _dumps(_unrendered(record, error))


class _JsonFormatter(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _dumps(record.msg) if hasattr(record, _READY) else super().format(record)


def _unrendered(record: logging.LogRecord, error: Exception) -> dict[str, Any]:
    """The fallback event for a record that cannot be rendered, e.g. if str() fails."""
    found = record.msg if isinstance(record.msg, dict) else {"event": record.msg}
    rendered = {
        name: found[name] for name in ("event", "exception") if type(found.get(name)) is str
    }
    if record.exc_info and record.exc_info[0]:
        rendered["exception"] = crashes.traceback_text(record.exc_info)
    return {
        "event": "a log line cannot be rendered",
        "error": type(error).__name__,
        "level": record.levelname.lower(),
        "logger": record.name,
        "original_event": redact_text(rendered.get("event", "")),
        **({"exception": redact_text(rendered["exception"])} if "exception" in rendered else {}),
    }


def _taken(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add what WriteBehind captured from a library's record, and the stack rendered by logging."""
    record = event["_record"]
    event.update(getattr(record, CONTEXT, {}))
    if record.exc_text and "exc_info" not in event:
        event["exception"] = record.exc_text
    if stack := event.pop("stack_info", None):
        event["stack"] = stack
    return event


def _redact_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    cleaned: EventDict = {
        key: REDACTED if secret_key(key) else redact(value) for key, value in event.items()
    }
    return cleaned


def _printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """For terminals: no value can start a line or change its colours.

    A traceback keeps its lines, each of them indented.
    """
    shown: EventDict = {
        _CONTROL.sub(_escaped, key): _one_line(value, key) if isinstance(value, str) else value
        for key, value in event.items()
    }
    return shown


def _one_line(value: str, key: str) -> str:
    if key not in _OF_LINES:
        return _CONTROL.sub(_escaped, value)
    return "\n".join(f"  {_CONTROL.sub(_escaped, line)}" for line in value.split("\n"))


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _dumps(event: Any, **_: Any) -> str:
    try:
        text = orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # orjson refuses lone surrogates and integers of more than 64 bits.
        text = json.dumps(event, default=str)
    # JSON allows these characters unescaped, but terminals and line-based readers may interpret
    # them.
    return _CONTROL.sub(_escaped, text)
