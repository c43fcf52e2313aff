"""Headers that tell browsers what not to do with a reply (OWASP Secure Headers)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-site",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
# The documentation page brings an inline script, and loads its viewer over HTTPS.
_DOCS_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' https: data:; form-action 'self';"
    " script-src 'unsafe-inline' https:; style-src 'unsafe-inline' https:; frame-ancestors 'none'"
)
_DOCS_PATHS = ("/docs", "/redoc")
# Replies are about the caller; a route that may be cached says so itself.
_CACHE = (b"cache-control", b"no-store")


class SecurityHeadersMiddleware:
    """Adds the headers. `hsts` only where callers come by HTTPS, which is production."""

    def __init__(self, app: ASGIApp, *, hsts: bool) -> None:
        self.app = app
        always = dict(_ALWAYS)
        if hsts:
            always["strict-transport-security"] = "max-age=31536000; includeSubDomains"
        # In the form that the server takes: this is done for each reply.
        self._api = _raw({**always, "content-security-policy": _API_POLICY})
        self._docs = _raw({**always, "content-security-policy": _DOCS_POLICY})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        ours = self._docs if scope["path"].startswith(_DOCS_PATHS) else self._api

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                theirs = [pair for pair in message["headers"] if pair[0] not in ours]
                message["headers"] = [*theirs, *ours.values()]
                if not any(name == _CACHE[0] for name, _ in theirs):
                    message["headers"].append(_CACHE)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _raw(headers: dict[str, str]) -> dict[bytes, tuple[bytes, bytes]]:
    return {
        name.encode(): (name.encode(), value.encode("latin-1")) for name, value in headers.items()
    }
