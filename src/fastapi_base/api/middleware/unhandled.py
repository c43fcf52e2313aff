"""The last resort: turns an unexpected error into a problem document and a log entry.

Starlette's own handler runs outside all other middleware, so its responses would lack the request
id, the security headers and the CORS headers. This one runs inside.
"""

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api.errors import unexpected_problem
from fastapi_base.api.middleware.head import SENT_METHOD
from fastapi_base.core.errors import DomainError
from fastapi_base.core.observability import reporting
from fastapi_base.utils.asgi import CUT

log = structlog.stdlib.get_logger(__name__)


class UnhandledErrorMiddleware:
    """Answers 500. With `debug` the response names the error.

    If the response has begun, the connection is closed, so that the client notices. For an expected
    failure (the database became unavailable during an export) this logs a warning. A client that
    disconnects before its request or its response is complete is not a failure of the service: one
    line at level info.
    """

    def __init__(self, app: ASGIApp, *, debug: bool) -> None:
        self.app = app
        self.debug = debug

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, whole = False, False

        async def send_and_note(message: Message) -> None:
            nonlocal started, whole
            if message["type"] == "http.response.start":
                started = True
                # A response to HEAD has no content: the route's stream is ended on purpose.
                whole = _method(scope) == "HEAD"
            elif not message.get("more_body"):
                whole = True
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except ClientDisconnect:
            pass
        except Exception as error:
            expected = _expected(error) if started else None
            if expected is not None:
                log.warning("reply cut off", **_what(scope), reason=expected.detail)
            else:
                log.exception("unhandled error", **_what(scope))
                reporting.capture(error)
            if started:
                await _cut(scope, error)
                return
            reply = unexpected_problem(Request(scope), error if self.debug else None)
            await reply(scope, receive, send)
            return
        if not whole:
            log.info("client disconnected", **_what(scope))


def _what(scope: Scope) -> dict[str, str]:
    return {"method": _method(scope), "path": scope["path"]}


def _method(scope: Scope) -> str:
    """The method that the client sent."""
    method: str = scope.get(SENT_METHOD, scope["method"])
    return method


def _expected(error: Exception) -> DomainError | None:
    """The domain error: the error itself, or the one that Starlette wrapped in it."""
    cause = error.__cause__ if isinstance(error, RuntimeError) else error
    return cause if isinstance(cause, DomainError) else None


async def _cut(scope: Scope, error: Exception) -> None:
    """Close the connection: the server does, or the raised error makes it do so."""
    cut = scope.get("extensions", {}).get(CUT)
    if cut is None:
        raise error
    await cut()
