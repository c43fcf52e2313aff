"""HTTP/1.1 with httptools, with limits for slow, hostile or vanished clients.

httptools itself accepts heads of any size and waits for them indefinitely. uvicorn reads bodies
that the application did not request, and waits indefinitely for clients that do not read.
"""

import asyncio
import logging
from collections import deque
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fastapi_base.serving import head
from fastapi_base.serving.connections import Connections
from fastapi_base.serving.refusal import Lingering, RefusedError
from fastapi_base.utils.addresses import plain
from fastapi_base.utils.asgi import CUT

log = logging.getLogger(__name__)


class LimitedProtocol(HttpToolsProtocol):
    """Refuses requests that are too large, too slow or ambiguous, and closes the connection.

    It responds with 431 for header fields (RFC 6585, section 5), including trailer fields; 414 for
    a target that exceeds the limit by itself (RFC 9110, 15.5.15); 408 for a head that is not
    complete in time (15.5.9); 400, 501 and 505 for heads that are malformed or refused by
    head.check(); and 429 for too many connections from one peer. A connection that sends nothing is
    closed without a response. If earlier pipelined requests still await their responses, no
    refusal is sent: the connection is closed after them, and clients retry what was not answered
    (RFC 9112, 9.3.2).

    A response sent before the request's body is complete ends the connection, so that bodies of
    refused requests are not read. Data that still arrives is discarded for `linger` seconds:
    closing immediately would reset the connection, and the client could lose the response (RFC
    9112, 9.6).

    For IPv4 peers, `client` in the scope is an IPv4 address, whatever the server listens on.
    """

    #: Total bytes of target and header fields.
    max_head_bytes = 32 * 1024
    #: Header fields of one request.
    max_fields = 100
    #: Seconds from the first byte, or from the start of the connection, to the end of the head.
    head_timeout = 10.0
    #: Requests that may be queued behind the current one. Further requests are not read.
    max_pipelined = 32
    #: Seconds for which an idle connection may still send a request during shutdown.
    last_call = 0.5
    #: Seconds for which incoming data is discarded after the last response.
    linger = 2.0
    #: The connections of this process.
    bounds: ClassVar[Connections] = Connections(10_000, 256, (), 30.0)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.peer: str | None = None
        self._refusal: RefusedError | None = None
        self._in_head = self._ending = False
        # Requests without a complete response: the current one and those queued behind it.
        self._cycles: deque[RequestResponseCycle] = deque()
        # Whether incoming data is ignored.
        self._deaf = False
        # Whether a body is incomplete, and whether the connection may be kept open once it is
        # complete.
        self._body_due = self._keep_alive = False
        self._size = self._fields = self._received = 0
        self._timer: asyncio.TimerHandle | None = None
        # Unsent bytes at the last check, the time since which none could be sent, and whether some
        # were.
        self._unsent, self._still_since, self._moved = 0, 0.0, False
        self._lost = asyncio.Event()
        self._extensions: dict[str, Any] = {CUT: self.cut_off}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by the event loop."""
        super().connection_made(transport)
        if self.client:
            self.peer = plain(self.client[0])
            self.client = (self.peer or self.client[0], self.client[1])
        if self.bounds.add(self, self.loop):
            self._wait_for_head()
        else:
            self._refuse(429, "Too many connections from this IP address")

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._stop_waiting()
        self.bounds.remove(self)
        # It references this object, which only the cyclic garbage collector would free.
        self._extensions.clear()
        for cycle in self._cycles:
            # uvicorn notifies only the last one.
            cycle.disconnected = True
            cycle.message_event.set()
            cycle.transport = self.transport
        self._cycles.clear()
        super().connection_lost(exc)
        self._lost.set()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop, with a few hundred kilobytes at most."""
        if self._deaf:
            return
        before = self._in_head
        self._unset_keepalive_if_required()
        if not self._feed(data) or self.transport.is_closing():
            return
        # on_header is called with complete fields: bytes buffered until then are counted here.
        if before and self._in_head:
            self._received += len(data)
            if self._received > self.max_head_bytes:
                self._refuse(431, f"The head has more than {self.max_head_bytes} bytes")
        # Bytes before a head, such as empty lines, also end the keep-alive timeout and start that
        # of a head.
        elif self._timer is None and not self._cycles:
            self._wait_for_head()

    def on_message_begin(self) -> None:
        """Called by httptools."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
        self._in_head = True
        self._size = self._fields = self._received = 0
        if self._timer is None:
            self._wait_for_head()

    def on_url(self, url: bytes) -> None:
        """Called by httptools for each part of the target."""
        self._grow(len(url), 414)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools, also for trailer fields, which are dropped."""
        self._fields += 1
        # Including colon, space and line ending.
        self._grow(len(name) + len(value) + 4, 431)
        # A trailer field must not be treated as a header field (RFC 9110, 6.5.1).
        if self._in_head:
            # llhttp keeps trailing whitespace, which is not part of the value (RFC 9110, 5.5).
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """Called by httptools."""
        self._in_head = False
        self._stop_waiting()
        version = self.parser.get_http_version()
        try:
            if self.parser.get_method() == b"CONNECT":
                raise RefusedError(501, "CONNECT is not supported")
            if b"#" in self.url:
                raise RefusedError(400, "The target must have no fragment (RFC 9112, 3.2)")
            if not self.url.startswith(b"/"):
                self.url = head.origin(self.url, self.headers)
            body = head.check(version, self.headers)
            if len(self.pipeline) >= self.max_pipelined:
                raise RefusedError(429, "Too many requests before the response to the first")
        except RefusedError as refusal:
            self._refusal = refusal
            raise
        if self.parser.should_upgrade():
            # The request is parsed again without the upgrade offer.
            return
        if version == "1.0":
            # HTTP/1.0 does not support this expectation (RFC 9110, 10.1.1).
            self.expect_100_continue = False
        super().on_headers_complete()
        cycle = self.cycle
        self._cycles.append(cycle)
        if self._ending:
            cycle.keep_alive = False
        if body:
            self._body_due = True
            # uvicorn announces the end of the connection in the response, and then closes it.
            self._keep_alive, cycle.keep_alive = cycle.keep_alive, False
            cycle.transport = Lingering(self.transport, self._close_after_reply)

    def on_message_complete(self) -> None:
        """Called by httptools."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        if self._body_due:
            self._body_due = False
            self.cycle.transport = self.transport
            if not self.cycle.response_started:
                self.cycle.keep_alive = self._keep_alive and not self._ending
        self.bounds.busy(self)

    def on_response_complete(self) -> None:
        """Called by uvicorn when the last part of a response has been written."""
        if self._cycles:
            self._cycles.popleft()
        more = bool(self.pipeline)
        super().on_response_complete()
        if not more and not self.transport.is_closing():
            if self._deaf:
                self._linger()
            else:
                self.bounds.idle(self)

    def resume_writing(self) -> None:
        """Called by the transport when most of the pending data has been sent."""
        self._moved = True
        super().resume_writing()

    def shutdown(self) -> None:
        """Called by the server on shutdown. A request that is already in transit is still answered.

        uvicorn's method closes every connection without a request immediately, which loses a
        request that a client has just sent.
        """
        self._ending = True
        if self._cycles:
            self.cycle.keep_alive = False
            return
        self._unset_keepalive_if_required()
        if not self._in_head:
            self._stop_waiting()
            self._timer = self.loop.call_later(self.last_call, self._is_late)

    def stands_still(self, now: float, seconds: float) -> bool:
        """See connections.Connection."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or not self._unsent or unsent < self._unsent or self._moved:
            self._still_since = now
        self._unsent, self._moved = unsent, False
        return now - self._still_since >= seconds

    def give_way(self) -> None:
        """See connections.Connection."""
        self.transport.close()

    def cut(self) -> None:
        """See connections.Connection."""
        self.transport.abort()

    async def cut_off(self) -> None:
        """Abort the connection, and wait until the running request has been notified."""
        self.transport.abort()
        await self._lost.wait()

    def _feed(self, data: bytes) -> bool:
        """Parse the data; returns whether more data is wanted."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            # The upgrade offer is declined (RFC 9110, 7.8): the request is parsed without it.
            again = head.without_upgrade(self.parser, self.url, self.headers)
            self.parser = head.new_parser(self)
            return self._feed(again + data[offer.args[0] :])
        except httptools.HttpParserError as error:
            refusal = self._refusal or RefusedError(400, f"The HTTP request is invalid: {error}")
            self._refuse(refusal.status, refusal.detail)
        return not self._deaf

    def _grow(self, size: int, status: int) -> None:
        self._size += size
        if self._size > self.max_head_bytes or self._fields > self.max_fields:
            self._refusal = RefusedError(
                status, f"The limits are {self.max_head_bytes} bytes and {self.max_fields} fields"
            )
            raise self._refusal

    def _wait_for_head(self) -> None:
        self._timer = self.loop.call_later(self.head_timeout, self._is_late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_late(self) -> None:
        self._timer = None
        if self._in_head:
            self._refuse(408, f"The head must arrive within {self.head_timeout:g} s")
        else:
            self.transport.close()

    def _refuse(self, status: int, detail: str) -> None:
        """Stop reading; respond and close, or close only after responses due or in progress."""
        if self._deaf or self.transport.is_closing():
            return
        log.info("request refused: %d, %s; from %s", status, detail, self.peer)
        self._deaf = True
        self._stop_waiting()
        if self._cycles:
            latest = self._cycles[-1]
            if not self._body_due or latest.response_started:
                return
            # The invalid data is the body of the latest request.
            self._cycles.pop()
            if self.pipeline:
                self.pipeline.popleft()
                return
            latest.disconnected = True
            latest.message_event.set()
        self.transport.write(RefusedError(status, detail).reply())
        self._linger()

    def _close_after_reply(self) -> None:
        """Called by a response that was sent before the body of its request was complete."""
        if self._body_due:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Close the sending side, and discard incoming data until the peer closes or time is up."""
        self._deaf = True
        self._unset_keepalive_if_required()
        self._stop_waiting()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(self.linger, self.transport.close)
