"""Ends requests that take too long, so that none holds a connection of the pool for ever."""

import asyncio

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api.errors import domain_problem
from fastapi_base.core.errors import DeadlineExceeded

log = structlog.stdlib.get_logger(__name__)


class DeadlineMiddleware:
    """Cancels the route and answers 503 when its reply has not begun after `seconds`.

    A transaction in work is rolled back by the cancellation. A reply that has begun, a stream or an
    export, may take as long as it needs.
    """

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.seconds) as deadline:

                async def send_and_go_on(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        deadline.reschedule(None)
                    await send(message)

                await self.app(scope, receive, send_and_go_on)
        except TimeoutError:
            if not deadline.expired():
                raise
            log.warning("deadline exceeded", path=scope["path"], seconds=self.seconds)
            error = DeadlineExceeded(f"The request took more than {self.seconds:g} s")
            await domain_problem(Request(scope), error)(scope, receive, send)
