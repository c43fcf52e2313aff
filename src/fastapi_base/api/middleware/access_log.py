"""Logs and measures each request once its response is complete."""

import logging
import time
from collections.abc import Callable
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.core.observability.logging import log_ready
from fastapi_base.core.observability.redaction import redact_text

log = structlog.stdlib.get_logger("fastapi_base.access")
_ready = logging.getLogger("fastapi_base.access")

# Characters of a path in the log: redaction runs on the event loop. Paths of the API are shorter.
LONGEST_PATH = 1024

# The scope after routing, the status (0 if the connection ended before a response), and seconds.
Observe = Callable[[Scope, int, float], None]


class AccessLogMiddleware:
    """Logs one line per request: method, path, status, milliseconds.

    The query is left out, because it may hold secrets. Probes call health checks every few seconds,
    so those are logged at level debug. `observe` receives the same values for metrics.
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
            # Build the event only if it will be logged: most probes are not.
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
        "path": redact_text(_shortened(scope["path"])),
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "client": client[0] if client else None,
    }


def _shortened(path: str) -> str:
    """A long path without its end, cut at a slash, so that no secret is split."""
    if len(path) <= LONGEST_PATH:
        return path
    start = path[: path.rfind("/", 0, LONGEST_PATH) + 1]
    return f"{start}[{len(path) - len(start)} characters left out]"
