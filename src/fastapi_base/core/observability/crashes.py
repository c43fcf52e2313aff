"""Renders exceptions for the log, and logs unhandled exceptions.

By default, Python prints unhandled exceptions to standard error. The hooks installed here, for the
process, its threads, destructors and warnings, log them instead: in the configured format, with
secrets redacted and the length bounded.
"""

import logging
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import Any, TextIO

import structlog

from fastapi_base.core.observability import reporting

log = logging.getLogger(__name__)
_previous: dict[str, Any] = {}


def traceback_text(exc_info: Any) -> str:
    """Format the traceback of a logging `exc_info`, including causes and contexts.

    Call it in the thread that logs the error: another thread has no current exception. Unlike a
    traceback object, the text keeps no frames, and nothing that a request held in them, alive.
    """
    return "".join(traceback.format_exception(*exc_info)).rstrip("\n")


# Replaces the `exc_info` of an event (True, an exception or a tuple) with its text in `exception`.
render_exception = structlog.processors.ExceptionRenderer(traceback_text)


def install() -> None:
    """Log unhandled exceptions from now on. Further calls have no effect.

    Errors in threads and destructors are also reported (core/observability/reporting.py). The SDK's
    own hook reports the error that ends the process. Hooks for threads and destructors that others
    installed before still run; Python's default hooks, which print, do not.
    """
    warnings.showwarning = _warning
    if _previous:
        return
    _previous.update(thread=threading.excepthook, unraisable=sys.unraisablehook)
    sys.excepthook = _end
    threading.excepthook = _in_thread
    sys.unraisablehook = _unraisable


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    log.critical("an unexpected error ends the process", exc_info=(kind, error, trace))


def _in_thread(found: threading.ExceptHookArgs) -> None:
    if found.exc_value is None or issubclass(found.exc_type, SystemExit):
        return
    name = found.thread.name if found.thread else "unknown"
    log.error(
        "an unexpected error ended a thread: %s",
        name,
        exc_info=(found.exc_type, found.exc_value, found.exc_traceback),
    )
    reporting.capture(found.exc_value)
    if _previous["thread"] is not threading.__excepthook__:
        _previous["thread"](found)


def _unraisable(found: "sys.UnraisableHookArgs") -> None:
    error = found.exc_value or found.exc_type()
    log.error(
        "%s: %r",
        found.err_msg or "an error in a destructor or callback was ignored",
        found.object,
        exc_info=(found.exc_type, error, found.exc_traceback),
    )
    reporting.capture(error)
    if _previous["unraisable"] is not sys.__unraisablehook__:
        _previous["unraisable"](found)


def _warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    text = warnings.formatwarning(message, category, filename, lineno, line)
    if file is not None:
        file.write(text)
        return
    logging.getLogger("py.warnings").warning("%s", text.rstrip("\n"))
