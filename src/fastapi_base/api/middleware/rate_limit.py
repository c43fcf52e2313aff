"""Limits how fast one caller may ask, before anything else is done for the request."""

import ipaddress
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api.errors import domain_problem
from fastapi_base.api.resources import Resources
from fastapi_base.core import metrics
from fastapi_base.core.config import RateLimitSettings
from fastapi_base.core.errors import NotAuthenticated, RateLimited
from fastapi_base.core.quotas import Quota, RouteQuota
from fastapi_base.services.rate_limit import Bucket, Level
from fastapi_base.services.throttle import network

DECISIONS = metrics.counter(
    "rate_limit_decisions", "What the quotas said of requests", "quota", "decision"
)
_PREFIX = "fastapi-base:rate:"


class RateLimitMiddleware:
    """Answers 429 to who is faster than a quota, and tells everybody how much is left.

    A caller is the account of a good access token, else the network that the request comes from. A
    quota of a route counts beside that. Replies carry `RateLimit-Policy` and `RateLimit`
    (draft-ietf-httpapi-ratelimit-headers-10), refusals `Retry-After` too. Health checks pass.
    """

    def __init__(self, app: ASGIApp, *, settings: RateLimitSettings) -> None:
        self.app = app
        self.principal = Quota.parse(settings.principal)
        self.address = Quota.parse(settings.address)
        self.routes = [RouteQuota.parse(rule) for rule in settings.routes]
        self.decided = {
            (quota, allowed): DECISIONS.child(quota, "allowed" if allowed else "refused")
            for quota in ("principal", "address", "route")
            for allowed in (True, False)
        }
        self.exempt = [ipaddress.ip_network(given, strict=False) for given in settings.exempt]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"].startswith("/health/") or self._free(scope):
            await self.app(scope, receive, send)
            return
        resources: Resources = scope["app"].state.resources
        levels = await resources.limiter.hit(self._buckets(scope, resources))
        fields = _fields(levels)

        async def send_with_levels(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(fields)
            await send(message)

        wait = max(level.retry_seconds for level in levels)
        for level in levels:
            self.decided[level.bucket.name, level.allowed].inc()
        if wait:
            reply = domain_problem(Request(scope), RateLimited(retry_after=wait))
            await reply(scope, receive, send_with_levels)
        else:
            await self.app(scope, receive, send_with_levels)

    def _free(self, scope: Scope) -> bool:
        if not self.exempt or not scope.get("client"):
            return False
        try:
            address = ipaddress.ip_address(scope["client"][0])
        except ValueError:
            return False
        return any(address in known for known in self.exempt)

    def _buckets(self, scope: Scope, resources: Resources) -> list[Bucket]:
        who, quota, name = self._caller(scope, resources)
        buckets = [Bucket(name, f"{_PREFIX}{who}", quota)]
        line = f"{scope['method']} {scope['path']}"
        for route in self.routes:
            if line.startswith(route.prefix):
                buckets.append(Bucket("route", f"{_PREFIX}{who}:{route.prefix}", route.quota))
                break
        return buckets

    def _caller(self, scope: Scope, resources: Resources) -> tuple[str, Quota, str]:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            try:
                user_id = resources.tokens.read(token.strip()).user_id
            except NotAuthenticated:
                # Whoever guesses tokens counts by where they come from.
                pass
            else:
                return f"principal:{user_id}", self.principal, "principal"
        client = scope.get("client")
        return f"address:{network(client[0] if client else None)}", self.address, "address"


def _fields(levels: Sequence[Level]) -> dict[str, str]:
    policies = (
        f'"{level.bucket.name}";q={level.bucket.quota.limit};w={level.bucket.quota.seconds}'
        for level in levels
    )
    left = (
        f'"{level.bucket.name}";r={level.remaining};t={level.reset_seconds}' for level in levels
    )
    return {"ratelimit-policy": ", ".join(policies), "ratelimit": ", ".join(left)}
