"""Assigns each request an id: the client's own if it is valid, else a new one.

Log lines also contain the id of the client's trace (W3C Trace Context), if there is one.
"""

import re
import secrets
from collections.abc import Callable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# In the server's format (lower-case bytes), here and below: this runs for each request.
HEADER = b"x-request-id"
_READ = {HEADER, b"traceparent"}
# The id goes into logs and responses: no whitespace, no control characters, bounded length.
_SANE = re.compile(rb"[A-Za-z0-9._-]{8,64}")
# W3C Trace Context, 3.2.2; all-zero ids are invalid.
_TRACE = re.compile(rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}.*")


class RequestIdMiddleware:
    """Adds the id to the scope's state, to every log line and to a response header.

    `trace_id` returns the id of this service's own trace, if tracing is on.
    """

    def __init__(self, app: ASGIApp, trace_id: Callable[[], str | None] | None = None) -> None:
        self.app = app
        self.trace_id = trace_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # The first one, if there are several.
        given = {name: value for name, value in reversed(scope["headers"]) if name in _READ}
        sane = _SANE.fullmatch(given.get(HEADER, b""))
        request_id = sane[0].decode() if sane else secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id
        ours = (HEADER, request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], ours]
            await send(message)

        known = {"request_id": request_id}
        if self.trace_id is not None and (traced := self.trace_id()):
            known["trace_id"] = traced
        elif trace := _TRACE.fullmatch(given.get(b"traceparent", b"")):
            known["trace_id"] = trace[1].decode()
        tokens = structlog.contextvars.bind_contextvars(**known)
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            structlog.contextvars.reset_contextvars(**tokens)


def request_id_of(scope: Scope) -> str | None:
    """The id of the request, if the middleware has processed it."""
    found = scope.get("state", {}).get("request_id")
    return found if isinstance(found, str) else None
