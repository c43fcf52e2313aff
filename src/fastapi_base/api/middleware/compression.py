"""Compresses replies that gain by it: zstd, Brotli or gzip, whichever the caller takes."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware, add_compress_type

_PLAIN = "fastapi_base.uncompressed"

add_compress_type("application/problem+json")
add_compress_type("application/x-ndjson")
add_compress_type("text/csv")


class CompressionMiddleware:
    """Compresses replies of at least `minimum_size` bytes, and none that carries a secret.

    Where a secret and something that the caller chose share one compressed reply, its length tells
    of the secret (the BREACH attack, CVE-2013-3587). A route whose reply carries one says
    `Cache-Control: no-store` itself (RFC 6749, 5.1), and that is what is looked for here.
    """

    def __init__(self, app: ASGIApp, *, minimum_size: int = 1000) -> None:
        self.app = app
        self.compressed = CompressMiddleware(self._inside, minimum_size=minimum_size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # No copy of the scope: those outside read in it which route was found.
        scope[_PLAIN] = send
        await self.compressed(scope, receive, send)

    async def _inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Taken out: a scope that refers to what refers to it waits for the collector of cycles.
        plain: Send = scope.pop(_PLAIN)
        chosen = send

        async def choose(message: Message) -> None:
            nonlocal chosen
            if message["type"] == "http.response.start":
                secret = any(
                    name == b"cache-control" and b"no-store" in value
                    for name, value in message["headers"]
                )
                chosen = plain if secret else send
            await chosen(message)

        await self.app(scope, receive, choose)
