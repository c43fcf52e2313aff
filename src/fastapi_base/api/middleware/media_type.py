"""Rejects content that is costly or impossible to decode, before it is parsed."""

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_base.api.errors import http_problem

# A boundary has at most 70 characters (RFC 2046, 5.1.1). Parameter parsers take time quadratic in
# the length.
LENGTH_MAX = 256
_PLAIN = (b"", b"identity")
_UTF8 = re.compile(rb';\s*charset\s*=\s*"?utf-?8"?\s*(?=;|$)')


class MediaTypeMiddleware:
    """Answers 415 to content that must not be decoded (RFC 9110, 15.5.16).

    That is a Content-Type that is too long, a form in a charset other than UTF-8, or any
    Content-Encoding; the response names the accepted alternative. Starlette decodes form parts with
    any Python codec that `charset` names. Some of them (punycode, idna) take hours for a body of
    the maximum size.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            for name, value in scope["headers"]:
                wrong = headers = None
                if name == b"content-type":
                    wrong = _wrong(value.lower())
                elif name == b"content-encoding" and value.strip().lower() not in _PLAIN:
                    wrong = "Content-Encoding is not supported; send the content uncompressed"
                    headers = {"Accept-Encoding": "identity"}
                if wrong:
                    error = HTTPException(415, wrong, headers)
                    await http_problem(Request(scope), error)(scope, receive, send)
                    return
        await self.app(scope, receive, send)


def _wrong(media_type: bytes) -> str | None:
    if len(media_type) > LENGTH_MAX:
        return f"Content-Type must have at most {LENGTH_MAX} bytes"
    if media_type.lstrip().startswith(b"multipart/") and b"charset" in _UTF8.sub(b"", media_type):
        return "Forms must be in UTF-8; omit charset from Content-Type or set charset=utf-8"
    return None
