"""Rejects requests that are addressed to another host."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_base.api.errors import http_problem


class TrustedHostMiddleware:
    """Answers 421 (RFC 9110, 15.5.20) unless `Host` is one of `hosts`.

    `*.example.com` matches every subdomain. Health checks pass, because probes use the container's
    IP address, which no list can contain.
    """

    def __init__(self, app: ASGIApp, *, hosts: tuple[str, ...]) -> None:
        self.app = app
        self.names = frozenset(host.lower() for host in hosts if not host.startswith("*."))
        self.suffixes = tuple(host[1:].lower() for host in hosts if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"].startswith("/health/"):
            await self.app(scope, receive, send)
            return
        host = _name(Headers(scope=scope).get("host", ""))
        if host in self.names or (self.suffixes and host.endswith(self.suffixes)):
            await self.app(scope, receive, send)
            return
        error = HTTPException(421, "This service does not serve the requested host")
        await http_problem(Request(scope), error)(scope, receive, send)


def _name(host: str) -> str:
    """The host without its port; an IPv6 address in brackets may have a port too."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()
