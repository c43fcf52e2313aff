"""Refuses bodies that are too large, by their declared and by their real length."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api.errors import http_problem


class BodyLimitMiddleware:
    """Answers 413 to requests of more than `limit` bytes, before anything reads them."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        for name, length in scope["headers"]:
            if name == b"content-length" and length.isdigit() and int(length) > self.limit:
                await http_problem(Request(scope), self._error())(scope, receive, send)
                return
        seen = 0

        async def receive_some() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self.limit:
                    # The route that reads the body lets it through to the error handlers.
                    raise self._error()
            return message

        await self.app(scope, receive_some, send)

    def _error(self) -> HTTPException:
        return HTTPException(413, f"The body has more than {self.limit} bytes")
