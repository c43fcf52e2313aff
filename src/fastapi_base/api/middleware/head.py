"""Answers HEAD like GET, without the content (RFC 9110, 9.3.2)."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ROUTED = ("route", "endpoint", "path_params")
# A scope member: the method that the client sent, where the application sees another.
SENT_METHOD = "fastapi_base.sent_method"


class HeadMiddleware:
    """Serves HEAD with the GET route: the same status and headers, without content.

    A streaming response sees a client disconnect once the headers are sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        ended = asyncio.Event()
        received = False

        async def receive_until_ended() -> Message:
            nonlocal received
            if not received:
                message = await receive()
                received = not message.get("more_body", False)
                return message
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                return
            await send(message)
            if message["type"] == "http.response.start":
                ended.set()
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        # A copy: the outer log and metrics record the method that was sent, and its route.
        inner = {**scope, "method": "GET", SENT_METHOD: "HEAD"}
        try:
            await self.app(inner, receive_until_ended, send_head)
        finally:
            scope.update({name: inner[name] for name in _ROUTED if name in inner})
