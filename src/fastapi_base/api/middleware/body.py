"""Receives the whole body of a request before the request uses scarce resources."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api.deps import check_credentials
from fastapi_base.api.errors import domain_problem, http_problem
from fastapi_base.api.routing.dispatch import Table
from fastapi_base.core.errors import DomainError, Overloaded, TooManyAtOnce
from fastapi_base.utils.addresses import network

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_OF_ADDRESS = "This IP address has too many uploads in progress; send fewer at once"
_OF_ALL = "Too many uploads are in progress"


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Limits for request bodies.

    `one` is the size of one body and `total` that of all in this process, in bytes. `seconds` is
    the time from the end of the head to the end of the body, `pause` the longest time without any
    byte. `of_address` is the number of concurrent bodies per IP address (IPv6: /64).
    """

    one: int
    total: int
    seconds: float
    pause: float
    of_address: int


class _Body:
    """A body that is being received."""

    __slots__ = ("error", "size", "timer", "where")

    def __init__(self, where: str, timer: asyncio.Timeout) -> None:
        self.where = where
        self.timer = timer
        self.size = 0
        self.error: DomainError | None = None


class BodyMiddleware:
    """Receives the body, then calls the application with it. Requests without a body pass through.

    Before it reads anything it answers 413 if the declared length exceeds the limit and 401 if the
    route requires a caller and the credentials are invalid; the application answers unknown paths
    and methods. While it reads it answers 413 beyond the limit and 408 for a slow or stalled body.
    If an IP address sends too many bodies at once (429), or all bodies together are too large
    (503), the oldest incomplete body is rejected, so that slow bodies never displace one that
    arrives at once. After a response before the end of the body, the server closes the connection
    (serving/protocol.py).
    """

    def __init__(self, app: ASGIApp, *, limits: BodyLimits, table: Table) -> None:
        self.app = app
        self.limits = limits
        self._table = table
        self._held = 0
        # Oldest first.
        self._coming: dict[_Body, None] = {}
        self._by_address: dict[str, dict[_Body, None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        declared = 0
        # Health checks take no body and must not wait for one.
        if scope["type"] == "http" and not scope["path"].startswith("/health/"):
            declared = _declared(scope["headers"])
        if not declared:
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            body = await self._body(request, receive, declared)
        except DomainError as error:
            await domain_problem(request, error)(scope, receive, send)
        except HTTPException as error:
            await http_problem(request, error)(scope, receive, send)
        else:
            if body is None:
                await self.app(scope, receive, send)
                return
            await self._serve(scope, body, receive, send)

    async def _serve(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Serve the request. Its body counts towards the total until the response begins."""
        counted = len(body)

        async def send_and_release(message: Message) -> None:
            nonlocal counted
            self._held, counted = self._held - counted, 0
            await send(message)

        try:
            await self.app(scope, _again(body, receive), send_and_release)
        finally:
            self._held -= counted

    async def _body(self, request: Request, receive: Receive, declared: int) -> bytes | None:
        """The body, counted towards the total; None if no route takes it.

        Raises ClientDisconnect, and the error with which the request is rejected.
        """
        if declared > self.limits.one:
            raise self._too_large()
        if not self._is_taken(request):
            return None
        client = request.client
        where = network(client.host if client else None)
        try:
            async with asyncio.timeout(min(self.limits.pause, self.limits.seconds)) as timer:
                body = _Body(where, timer)
                self._add(body)
                return await self._receive(body, receive)
        except BaseException as error:
            self._held -= body.size
            if isinstance(error, TimeoutError) and timer.expired():
                raise body.error or self._too_slow(body.size) from None
            raise
        finally:
            self._forget(body)

    def _is_taken(self, request: Request) -> bool:
        """Whether a route matches the request. Raises NotAuthenticated for invalid credentials."""
        scope = request.scope
        entry = self._table.entry(scope)
        if entry is None:
            routes = scope["app"].routes
            return any(route.matches(scope)[0] == Match.FULL for route in routes)
        # With dependency overrides, the required credentials are unknown here.
        if entry.needs_caller and not scope["app"].dependency_overrides:
            check_credentials(request, scope["app"].state.resources)
        return True

    async def _receive(self, body: _Body, receive: Receive) -> bytes:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.limits.seconds
        parts = []
        while True:
            message = await receive()
            if body.error is not None:
                # This body was evicted while its next part arrived.
                raise body.error
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part = message.get("body", b"")
            parts.append(part)
            body.size += len(part)
            self._held += len(part)
            if body.size > self.limits.one:
                raise self._too_large()
            if self._held > self.limits.total:
                self._make_room(body)
            if not message.get("more_body"):
                return b"".join(parts)
            body.timer.reschedule(min(end, loop.time() + self.limits.pause))

    def _add(self, body: _Body) -> None:
        """Count the body for its IP address. Evict the oldest one of an address with too many."""
        mine = self._by_address.setdefault(body.where, {})
        mine[body] = self._coming[body] = None
        if len(mine) > self.limits.of_address:
            self._give_up(next(iter(mine)), TooManyAtOnce(_OF_ADDRESS))

    def _make_room(self, needing: _Body) -> None:
        while self._held > self.limits.total:
            oldest = next(iter(self._coming))
            if oldest is needing:
                raise Overloaded(_OF_ALL)
            self._give_up(oldest, Overloaded(_OF_ALL))

    def _give_up(self, body: _Body, error: DomainError) -> None:
        self._forget(body)
        self._held -= body.size
        body.size = 0
        body.error = error
        if not body.timer.expired():
            # A deadline in the past: the timeout fires as soon as the task runs.
            body.timer.reschedule(0)

    def _forget(self, body: _Body) -> None:
        self._coming.pop(body, None)
        mine = self._by_address.get(body.where)
        if mine is not None:
            mine.pop(body, None)
            if not mine:
                del self._by_address[body.where]

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"The body has more than {self.limits.one} bytes")

    def _too_slow(self, size: int) -> HTTPException:
        return HTTPException(
            408,
            f"The body must arrive within {self.limits.seconds:g} s, without pauses of more than"
            f" {self.limits.pause:g} s; {size} bytes arrived",
        )


def _declared(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The length that the head declares; 0 without a body, 1 if the length is unknown."""
    announced = 0
    for name, value in [pair for pair in headers if pair[0] in _FRAMING]:
        length = value.strip().lstrip(b"0")
        if name == b"content-length" and length.isdigit():
            # A longer number exceeds any limit.
            announced = max(announced, int(length[:19]))
        elif length:
            announced = max(announced, 1)
    return announced


def _again(body: bytes, receive: Receive) -> Receive:
    """Replays the body, then delegates to `receive`."""
    # Popped when delivered, so that a long response does not keep the body in memory.
    left = [body]

    async def receive_again() -> Message:
        if not left:
            return await receive()
        return {"type": "http.request", "body": left.pop(), "more_body": False}

    return receive_again
