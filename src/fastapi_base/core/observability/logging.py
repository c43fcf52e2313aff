"""Logs: one line an event, JSON or for people, with the request's id and without secrets.

The one place where logging is set up, for gunicorn, uvicorn, Celery, Alembic and us.
"""

import logging
import logging.config
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from fastapi_base.core.config_observability import LogSettings
from fastapi_base.core.log_levels import Levels
from fastapi_base.core.log_queue import CONTEXT, WriteBehind
from fastapi_base.core.redaction import REDACTED, redact, secret_key

_READY = "_is_ready"
# Whatever could start a line or move a terminal's cursor.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def configure_logging(settings: LogSettings, to: Literal["stderr", "stdout"] = "stderr") -> None:
    """Send everything, ours and the libraries', through one handler.

    Services write to standard output, commands to standard error, where their results do not go.
    """
    # Nothing of it is in a line, and to find it out takes longer than all else in a record.
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
            "formatters": {"event": {"()": lambda: _formatter(settings, getattr(sys, to))}},
            "handlers": {
                "stream": {
                    "class": "logging.StreamHandler",
                    "formatter": "event",
                    "stream": f"ext://sys.{to}",
                }
            },
            "root": {"handlers": ["stream"], "level": settings.level},
            "loggers": {
                # The access log is ours; these would say everything twice.
                "uvicorn.access": {"handlers": [], "propagate": False},
                "uvicorn.error": {"level": "INFO"},
                # They log arguments and results, which belong to callers, and each task again;
                # see tasks/logs.py.
                "celery.app.trace": {"level": "WARNING"},
                "celery.worker.strategy": {"level": "WARNING"},
            },
        }
    )
    Levels(settings).apply()


def log_ready(logger: logging.Logger, event: dict[str, Any]) -> None:
    """Log at level info an event that comes with each request, and so must cost little.

    What is bound to the context is added. Nothing is redacted: the caller has done that.
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
    """Let a thread write, and another follow LOG_LEVELS_FILE; once, in a process that serves.

    Call after configure_logging(), and not before a fork.
    """
    if settings.queue_lines:
        handler = WriteBehind(stream, settings.queue_lines)
        handler.setFormatter(_formatter(settings, stream))
        logging.getLogger().handlers[:] = [handler]
    watch_levels(settings)


def watch_levels(settings: LogSettings) -> None:
    """Follow LOG_LEVELS_FILE in this process."""
    Levels(settings).watch()


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _formatter(settings: LogSettings, stream: TextIO) -> logging.Formatter:
    last: list[Processor]
    make = structlog.stdlib.ProcessorFormatter
    if settings.format == "json":
        make = _JsonFormatter
        last = [structlog.processors.JSONRenderer(serializer=_dumps)]
    else:
        last = [_printable, structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    return make(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _redact_event,
            *last,
        ],
        foreign_pre_chain=[_taken_context, *_shared()],
    )


class _JsonFormatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return _dumps(record.msg) if hasattr(record, _READY) else super().format(record)


def _taken_context(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The context of a record that another thread renders; see WriteBehind."""
    event.update(getattr(event["_record"], CONTEXT, {}))
    return event


def _redact_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    cleaned: EventDict = {
        key: REDACTED if secret_key(key) else redact(value) for key, value in event.items()
    }
    return cleaned


def _printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """For terminals: nothing that a caller sent can begin a line of its own, or colour one.

    A traceback keeps its lines.
    """
    shown: EventDict = {
        _CONTROL.sub(_escaped, key): _CONTROL.sub(_escaped, value)
        if isinstance(value, str) and key != "exception"
        else value
        for key, value in event.items()
    }
    return shown


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _dumps(event: Any, **_: Any) -> str:
    text = orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    # What JSON leaves alone and a terminal, or a reader of lines, may not.
    return _CONTROL.sub(_escaped, text)
