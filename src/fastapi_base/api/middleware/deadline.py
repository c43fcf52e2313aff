"""Ends requests that take too long, so that none holds a pooled connection forever."""

import asyncio

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api.errors import domain_problem
from fastapi_base.core.errors import DeadlineExceeded

log = structlog.stdlib.get_logger(__name__)


class DeadlineMiddleware:
    """Cancels the route and answers 503 if its response has not begun after `seconds`.

    The cancellation rolls back an open transaction. A streamed response (export, events) may take
    `stream_seconds` from its first part; a longer one raises DeadlineExceeded, and
    UnhandledErrorMiddleware closes the connection. The server limits how long a client may take to
    read (serving/protocol.py).
    """

    def __init__(self, app: ASGIApp, *, seconds: float, stream_seconds: float) -> None:
        self.app = app
        self.seconds = seconds
        self.stream_seconds = stream_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = streams = False
        try:
            async with asyncio.timeout(self.seconds) as deadline:

                async def send_and_go_on(message: Message) -> None:
                    nonlocal started, streams
                    if message["type"] == "http.response.start":
                        started = True
                        _move(deadline, None)
                    elif message.get("more_body") and not streams:
                        streams = True
                        now = asyncio.get_running_loop().time()
                        _move(deadline, now + self.stream_seconds)
                    await send(message)

                await self.app(scope, receive, send_and_go_on)
        except TimeoutError:
            if not deadline.expired():
                raise
            if started:
                raise DeadlineExceeded(
                    f"The response took more than {self.stream_seconds:g} s"
                ) from None
            log.warning("deadline exceeded", path=scope["path"], seconds=self.seconds)
            error = DeadlineExceeded(f"The request took more than {self.seconds:g} s")
            await domain_problem(Request(scope), error)(scope, receive, send)


def _move(deadline: asyncio.Timeout, when: float | None) -> None:
    """Set another deadline, unless it has just expired and the cancellation is on its way."""
    if not deadline.expired():
        deadline.reschedule(when)
