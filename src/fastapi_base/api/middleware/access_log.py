"""Logs each request once, when its reply is out."""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.stdlib.get_logger("fastapi_base.access")


class AccessLogMiddleware:
    """One line a request: method, path (no query: it may hold secrets), status, milliseconds.

    Health checks come every few seconds from each prober, so they are logged at level debug.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

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
            path: str = scope["path"]
            write = log.debug if path.startswith("/health/") else log.info
            client = scope.get("client")
            write(
                "request",
                method=scope["method"],
                path=path,
                status=status,
                milliseconds=round((time.perf_counter() - start) * 1000, 1),
                client=client[0] if client else None,
            )
