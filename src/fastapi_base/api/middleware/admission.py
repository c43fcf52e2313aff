"""Limits concurrent requests; others queue for a limited time, then get 503."""

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api.errors import domain_problem
from fastapi_base.core.errors import Overloaded


class AdmissionMiddleware:
    """Admits `at_once` concurrent requests in FIFO order; answers 503 after `patience` seconds.

    More concurrency would not increase throughput: requests would share the same processor and
    database connections, and each would take longer, up to its deadline. An admitted request never
    waits for its client: BodyMiddleware has received the body, and the slot is released before the
    first byte of the response is sent, because a slow reader can block that. Health checks need no
    slot.
    """

    def __init__(self, app: ASGIApp, *, at_once: int, patience: float) -> None:
        self.app = app
        self.patience = patience
        self._places = asyncio.Semaphore(at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"].startswith("/health/"):
            await self.app(scope, receive, send)
            return
        if not await self._admitted():
            error = Overloaded(f"The request waited {self.patience:g} s for a free slot")
            await domain_problem(Request(scope), error)(scope, receive, send)
            return
        held = True

        async def leave_and_send(message: Message) -> None:
            nonlocal held
            if held:
                held = False
                self._places.release()
            await send(message)

        try:
            await self.app(scope, receive, leave_and_send)
        finally:
            if held:
                self._places.release()

    async def _admitted(self) -> bool:
        if self._places.locked():
            try:
                async with asyncio.timeout(self.patience):
                    await self._places.acquire()
            except TimeoutError:
                return False
        else:
            # A slot is free, so this does not wait.
            await self._places.acquire()
        return True
