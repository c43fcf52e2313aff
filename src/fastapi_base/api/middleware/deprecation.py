"""Tells callers of deprecated routes, and counts them."""

from typing import Any

import structlog
from starlette.status import HTTP_405_METHOD_NOT_ALLOWED
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api.observability.templates import Templates
from fastapi_base.core.deprecation import deprecation_of
from fastapi_base.core.observability import metrics
from fastapi_base.services.identity.api_keys import KeyPrincipal
from fastapi_base.services.identity.auth import Principal

log = structlog.stdlib.get_logger(__name__)

REQUESTS = metrics.counter(
    "http_deprecated_requests",
    "Requests to deprecated routes",
    "method",
    "route",
    "caller",
)


class DeprecationMiddleware:
    """Adds `Deprecation`, `Sunset` and `Link` to every response of a deprecated route.

    Errors have them too. Each such request is counted by the kind of its caller and logged with
    the caller's id, so that the last callers can be found before the sunset.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._templates = Templates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_notice(message: Message) -> None:
            # Known once the request was routed, in both modes of routing.
            if message["type"] == "http.response.start" and (
                found := deprecation_of(scope.get("endpoint"))
            ):
                message["headers"] = [*message.get("headers", ()), *found.headers]
                # Other methods of the path are not calls of the route.
                if message["status"] != HTTP_405_METHOD_NOT_ALLOWED:
                    self._count(scope, message["status"])
            await send(message)

        await self.app(scope, receive, send_with_notice)

    def _count(self, scope: Scope, status: int) -> None:
        method, route = scope["method"], self._templates(scope)
        caller = _caller(scope)
        REQUESTS.child(method, route, caller["caller"]).inc()
        log.info("deprecated route called", method=method, route=route, status=status, **caller)


def _caller(scope: Scope) -> dict[str, Any]:
    """The kind of the caller, one of three, and their ids."""
    principal = scope.get("state", {}).get("principal")
    if isinstance(principal, KeyPrincipal):
        ids = {"user_id": str(principal.user.id), "key_id": str(principal.key_id)}
        return {"caller": "api-key", **ids}
    if isinstance(principal, Principal):
        return {"caller": "session", "user_id": str(principal.user.id)}
    return {"caller": "anonymous"}
