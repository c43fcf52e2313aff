"""HTTP/1.1 by httptools, with limits on what comes before a request's body, and a good end.

httptools itself takes a head of any size and waits for it for ever.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)


class HeadTooLargeError(Exception):
    """More than the limits allow. httptools gives up reading when a callback raises."""


class LimitedProtocol(HttpToolsProtocol):
    """Refuses heads that are too large or too slow, and closes the connection.

    431 for header fields (RFC 6585, section 5), also those after a chunked body; 414 for a target
    that alone is larger than the limit (RFC 9110, 15.5.15); 408 when a head was begun and not
    finished in time (15.5.9). A connection that sends nothing at all is closed without a word.
    """

    #: Bytes of target and fields together.
    max_head_bytes = 32 * 1024
    #: Header fields of one request.
    max_fields = 100
    #: Seconds from the first byte, or from the connection's beginning, to the end of the head.
    head_timeout = 10.0
    #: Seconds in which an idle connection may still bring a request when the server ends.
    last_call = 0.5

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refusal = 400
        self._in_head = self._ending = False
        self._size = self._fields = self._received = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by the event loop."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop, with some hundred kilobytes at most."""
        before = self._in_head
        super().data_received(data)
        if self.transport.is_closing():
            return
        # A field reaches on_header when it is whole: what is held until then is counted here.
        if before and self._in_head:
            self._received += len(data)
            if self._received > self.max_head_bytes:
                self._refuse(431)
        # Bytes that are no head, as empty lines: they end the patience for an idle connection, too.
        elif self._head_timer is None and not self._replying():
            self._wait_for_head()

    def on_message_begin(self) -> None:
        """Called by httptools."""
        super().on_message_begin()
        self._in_head = True
        self._size = self._fields = self._received = 0
        if self._head_timer is None:
            self._wait_for_head()

    def on_url(self, url: bytes) -> None:
        """Called by httptools, with each part of the target."""
        self._grow(len(url), 414)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools, also for the fields of a trailer."""
        self._fields += 1
        # With the colon, the space and the end of the line.
        self._grow(len(name) + len(value) + 4, 431)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Called by httptools."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()
        if self._ending:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Called by the server when it ends. A request that is on its way is still answered.

        uvicorn's own closes each connection without a request at once, so what a client has just
        sent is lost.
        """
        if self._replying():
            self.cycle.keep_alive = False
            return
        self._ending = True
        self._unset_keepalive_if_required()
        if not self._in_head:
            self._stop_waiting()
            self._head_timer = self.loop.call_later(self.last_call, self._head_is_late)

    def send_400_response(self, msg: str) -> None:
        """Called where reading failed: by a mistake of the sender, or by a limit."""
        self._stop_waiting()
        if self._refusal == 400:
            super().send_400_response(msg)
        else:
            self._refuse(self._refusal)

    def _replying(self) -> bool:
        # There is none before the first request, whatever uvicorn's annotation says.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _grow(self, size: int, refusal: int) -> None:
        self._size += size
        if self._size > self.max_head_bytes or self._fields > self.max_fields:
            self._refusal = refusal
            raise HeadTooLargeError

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout, self._head_is_late)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._in_head:
            self._refuse(408)
        else:
            self.transport.close()

    def _refuse(self, status: int) -> None:
        """Close, after an answer; without one where a reply is on its way already."""
        if self.transport.is_closing():
            return
        if not self._replying():
            self.transport.write(
                STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n"
            )
        self.transport.close()
