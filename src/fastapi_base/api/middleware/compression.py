"""Compresses responses with zstd, Brotli or gzip, as the client accepts."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware, add_compress_type

_PLAIN = "fastapi_base.uncompressed"

add_compress_type("application/problem+json")
add_compress_type("application/x-ndjson")
add_compress_type("text/csv")


class CompressionMiddleware:
    """Compresses responses of at least `minimum_size` bytes, except those that contain a secret.

    If a secret and attacker-chosen text share one compressed response, its length reveals the
    secret (the BREACH attack, CVE-2013-3587). A route whose response contains a secret sets
    `Cache-Control: no-store` itself (RFC 6749, 5.1); this middleware checks for that.
    """

    def __init__(self, app: ASGIApp, *, minimum_size: int = 1000) -> None:
        self.app = app
        self.compressed = CompressMiddleware(self._inside, minimum_size=minimum_size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # Do not copy the scope: outer middleware reads the matched route from it.
        scope[_PLAIN] = send
        await self.compressed(scope, receive, send)

    async def _inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Popped, because a scope in a reference cycle stays until the cyclic garbage collector
        # runs.
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
