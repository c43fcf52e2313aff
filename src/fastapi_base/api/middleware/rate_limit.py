"""Limits the request rate per caller, before any other work for the request."""

from collections.abc import Sequence

import structlog
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api.deps import bearer_token
from fastapi_base.api.errors import domain_problem
from fastapi_base.api.resources import Resources
from fastapi_base.core.config import RateLimitSettings
from fastapi_base.core.config.quotas import Quota, RouteQuota
from fastapi_base.core.errors import NotAuthenticated, RateLimited
from fastapi_base.core.observability import metrics
from fastapi_base.core.security import api_key
from fastapi_base.services.limits.rate_limit import Bucket, Level
from fastapi_base.utils.addresses import Networks, network

log = structlog.stdlib.get_logger(__name__)

DECISIONS = metrics.counter(
    "rate_limit_decisions", "Decisions of the rate limits", "quota", "decision"
)
_PREFIX = "fastapi-base:rate:"


class RateLimitMiddleware:
    """Answers 429 to a caller that exceeds a quota, and reports the remaining quota.

    The caller is the account of a valid access token, else the network of the client's IP address.
    A route's quota counts in addition. Responses carry `RateLimit-Policy` and `RateLimit`
    (draft-ietf-httpapi-ratelimit-headers-10); 429 responses also carry `Retry-After`. Health checks
    pass.
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
        self.exempt = Networks(settings.exempt)

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
        client = scope.get("client")
        return client is not None and client[0] in self.exempt

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
        token = bearer_token(Headers(scope=scope))
        # An API key is not an access token: reading it as one would cost an exception.
        if token and not api_key.claims_to_be(token):
            try:
                user_id = resources.tokens.read(token).user_id
            except NotAuthenticated:
                # A client that guesses tokens is counted by its network.
                pass
            else:
                return f"principal:{user_id}", self.principal, "principal"
        client = scope.get("client")
        return f"address:{network(client[0] if client else None)}", self.address, "address"


def warn_of_unmatched(app: FastAPI, settings: RateLimitSettings) -> None:
    """Log each route quota that applies to no route, for example because its path is misspelt."""
    for rule in settings.routes:
        method, _, start = RouteQuota.parse(rule).prefix.partition(" ")
        if not any(
            method in (route.methods or ()) and _may_start(route.path or "", start)
            for route in iter_route_contexts(app.routes)
        ):
            log.warning("a rate limit applies to no route", rule=rule)


def _may_start(template: str, start: str) -> bool:
    """Whether a path of the route may start with this text."""
    known, parameter, _ = template.partition("{")
    return known.startswith(start) or (bool(parameter) and start.startswith(known))


def _fields(levels: Sequence[Level]) -> dict[str, str]:
    policies = (
        f'"{level.bucket.name}";q={level.bucket.quota.limit};w={level.bucket.quota.seconds}'
        for level in levels
    )
    left = (
        f'"{level.bucket.name}";r={level.remaining};t={level.reset_seconds}' for level in levels
    )
    return {"ratelimit-policy": ", ".join(policies), "ratelimit": ", ".join(left)}
