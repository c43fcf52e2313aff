"""Logs and measures each request once, when its reply is out."""

import logging
import time
from collections.abc import Callable
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.core.logging import log_ready
from fastapi_base.core.redaction import redact_text

log = structlog.stdlib.get_logger("fastapi_base.access")
_ready = logging.getLogger("fastapi_base.access")

# The scope as the router left it, the status (0: cut off before a reply), and seconds.
Observe = Callable[[Scope, int, float], None]


class AccessLogMiddleware:
    """One line a request: method, path (no query: it may hold secrets), status, milliseconds.

    Health checks come every few seconds from each prober, so they are logged at level debug.
    `observe` gets the same, for metrics: one pass for both.
    """

    def __init__(self, app: ASGIApp, observe: Observe | None = None) -> None:
        self.app = app
        self.observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 0
        start = time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        finally:
            seconds = time.perf_counter() - start
            if self.observe is not None:
                self.observe(scope, status, seconds)
            # The event is made only where it is logged: most probes are not.
            if not scope["path"].startswith("/health/"):
                if _ready.isEnabledFor(logging.INFO):
                    log_ready(_ready, _event(scope, status, seconds))
            elif _ready.isEnabledFor(logging.DEBUG):
                log.debug(**_event(scope, status, seconds))


def _event(scope: Scope, status: int, seconds: float) -> dict[str, Any]:
    client = scope.get("client")
    return {
        "event": "request",
        "method": scope["method"],
        "path": redact_text(scope["path"]),
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "client": client[0] if client else None,
    }
