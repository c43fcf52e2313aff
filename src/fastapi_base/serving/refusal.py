"""Refusals by the server itself, and closing connections without losing the response."""

import asyncio
import json
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE


class RefusedError(Exception):
    """A request that is refused before the application sees it. httptools then stops parsing."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail

    def reply(self) -> bytes:
        """The response: a problem document (RFC 9457) with `Connection: close`."""
        line = STATUS_LINE[self.status]
        problem = {
            "type": "about:blank",
            "title": line.split(maxsplit=2)[2].decode().strip(),
            "status": self.status,
            "detail": self.detail,
        }
        body = json.dumps(problem).encode()
        head = b"content-type: application/problem+json\r\ncontent-length: %d\r\n" % len(body)
        return line + head + b"connection: close\r\n\r\n" + body


class Lingering(asyncio.Transport):
    """The transport of a response while the body of its request is incomplete.

    close() calls the given function instead of closing the transport.
    """

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        super().__init__()
        self._transport = transport
        self._close = close

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See asyncio.Transport."""
        self._transport.write(data)

    def is_closing(self) -> bool:
        """See asyncio.Transport."""
        return self._transport.is_closing()

    def close(self) -> None:
        """See asyncio.Transport."""
        self._close()
