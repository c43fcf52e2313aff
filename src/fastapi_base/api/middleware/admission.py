"""Works on so many requests at a time; lets others wait for a while, and then says no."""

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api.errors import domain_problem
from fastapi_base.core.errors import Overloaded


class AdmissionMiddleware:
    """Lets `at_once` requests in, in the order in which they came; 503 after `patience` seconds.

    More at once would not be done sooner: they would share the same processor and connections of
    the database, and each would take longer, up to its deadline. A reply that goes on after its
    first part (a stream of events, an export) gives its place away. Health checks take none.
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
            error = Overloaded(f"The request waited {self.patience:g} s for others to end")
            await domain_problem(Request(scope), error)(scope, receive, send)
            return
        held = True

        async def send_and_leave(message: Message) -> None:
            nonlocal held
            if held and message.get("more_body"):
                held = False
                self._places.release()
            await send(message)

        try:
            await self.app(scope, receive, send_and_leave)
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
            # There is a place, so this does not wait.
            await self._places.acquire()
        return True
