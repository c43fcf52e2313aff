"""Serves the application below a path prefix, such as `/shop`, behind a proxy."""

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api import docs

# The application serves paths below these.
_OWN = ("/api/", "/health/", docs.PATH, docs.OPENAPI, "/.well-known/")
# The target of a link (RFC 8288, 3): a path on this host.
_TARGET = re.compile(rb"<(?=/(?!/))")


class PathPrefixMiddleware:
    """Accepts requests with and without the prefix, and adds it to `Location` and `Link`.

    Proxies differ in whether they remove the prefix. The application is unaware of it: its routes,
    logs and metrics have plain paths.
    """

    def __init__(self, app: ASGIApp, *, prefix: str, pages: str = "") -> None:
        """`pages` is the path of further pages, below which the application serves paths, too."""
        self.app = app
        self.prefix = prefix
        self._raw = prefix.encode()
        self._own = (*_OWN, pages) if pages else _OWN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        rest = scope["path"].removeprefix(self.prefix)
        # A prefix such as /api may also start a path that came without the prefix.
        if rest != scope["path"] and rest.startswith(self._own):
            scope["path"] = rest
            if raw := scope.get("raw_path"):
                scope["raw_path"] = raw.removeprefix(self._raw)

        async def send_prefixed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, self._prefixed(name.lower(), value))
                    for name, value in message["headers"]
                ]
            await send(message)

        await self.app(scope, receive, send_prefixed)

    def _prefixed(self, name: bytes, value: bytes) -> bytes:
        if name == b"location" and value.startswith(b"/") and not value.startswith(b"//"):
            return self._raw + value
        if name == b"link":
            return _TARGET.sub(b"<" + self._raw, value)
        return value
