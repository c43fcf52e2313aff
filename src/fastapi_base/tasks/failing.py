"""How a process that works in turns reports a failed turn."""

import structlog

from fastapi_base.core.observability import reporting
from fastapi_base.db.failures import UNAVAILABLE, reason


def report(log: structlog.stdlib.BoundLogger, event: str, error: Exception) -> None:
    """Log the error; unless it is an outage, with its traceback and an error report."""
    if isinstance(error, UNAVAILABLE):
        log.warning(event, reason=reason(error))
    else:
        log.error(event, reason=type(error).__name__, exc_info=error)
        reporting.capture(error)
