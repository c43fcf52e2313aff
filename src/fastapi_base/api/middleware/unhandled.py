"""The last resort: an error that nobody expected becomes a problem document and a log entry.

Starlette's own handler sits outside all other middleware, so its replies would lack the request id,
the security headers and those of CORS. This one sits inside.
"""

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api.errors import unexpected_problem
from fastapi_base.core import reporting

log = structlog.stdlib.get_logger(__name__)


class UnhandledErrorMiddleware:
    """Answers 500. With `debug` the reply says what happened."""

    def __init__(self, app: ASGIApp, *, debug: bool) -> None:
        self.app = app
        self.debug = debug

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except Exception as error:
            log.exception("unhandled error", method=scope["method"], path=scope["path"])
            reporting.capture(error)
            if started:
                # Half a reply is out. Let the server cut the connection, so the caller can tell.
                raise
            reply = unexpected_problem(Request(scope), error if self.debug else None)
            await reply(scope, receive, send)
