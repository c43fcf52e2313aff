"""Headers that restrict what browsers do with a response (OWASP Secure Headers)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api import docs

_ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-site",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
# The documentation page: scripts and styles from this origin only; Swagger UI embeds its images.
_DOCS_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; script-src 'self';"
    " style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Pages with forms, everything from this origin.
_PAGES_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)
# Responses are specific to the caller; a cacheable route sets its own Cache-Control.
_CACHE = (b"cache-control", b"no-store")


class SecurityHeadersMiddleware:
    """Adds the headers. Set `hsts` only if clients use HTTPS, as in production.

    `pages` is the path of pages with forms; empty if there are none.
    """

    def __init__(self, app: ASGIApp, *, hsts: bool, pages: str = "") -> None:
        self.app = app
        self._pages_path = pages
        always = dict(_ALWAYS)
        if hsts:
            always["strict-transport-security"] = "max-age=31536000; includeSubDomains"
        # In the server's format: this runs for each response.
        self._api = _raw({**always, "content-security-policy": _API_POLICY})
        self._docs = _raw({**always, "content-security-policy": _DOCS_POLICY})
        # Without a referrer, browsers send `Origin: null` with forms.
        own = {"content-security-policy": _PAGES_POLICY, "referrer-policy": "same-origin"}
        self._pages = _raw({**always, **own})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        ours = self._docs if path.startswith(docs.PATH) else self._api
        pages = self._pages_path
        if pages and path.startswith(pages) and path[len(pages) :][:1] in ("", "/"):
            ours = self._pages

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
