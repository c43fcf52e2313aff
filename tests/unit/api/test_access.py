"""No route is open by mistake: each has a rule about who may call, or stands on the list here."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from fastapi_base.api import deps
from fastapi_base.api.deps import AnyPrincipal, CurrentPrincipal, Requires
from fastapi_base.core.scopes import DESCRIPTIONS, SUPERUSER, USER, Scope

PUBLIC = {
    "POST /api/v1/auth/register",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/login/second-factor",
    "POST /api/v1/auth/login/passkey/options",
    "POST /api/v1/auth/login/passkey",
    "GET /api/v1/auth/oidc",
    "POST /api/v1/auth/oidc/{provider}/begin",
    "POST /api/v1/auth/oidc/{provider}/finish",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/verify-email",
    "POST /api/v1/auth/verify-email/confirm",
    "POST /api/v1/auth/password-reset",
    "POST /api/v1/auth/password-reset/confirm",
    "POST /api/v1/auth/email-change/confirm",
    "GET /.well-known/jwks.json",
    "GET /health/live",
    "GET /health/ready",
    "GET /health/startup",
}


def called(dependant: Dependant) -> Iterator[object]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from called(inner)


def rules(dependant: Dependant) -> set[str]:
    """Which rules the route has: a person in a session, or a caller with a scope."""
    found = set()
    for call in called(dependant):
        if call is deps._principal:
            found.add("session")
        if getattr(call, "__qualname__", "").startswith("Requires."):
            found.add("scope")
    return found


def open_routes(app: FastAPI) -> set[str]:
    found = set()
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        # The others are those of the description, which has no secrets.
        if isinstance(route, APIRoute) and not rules(route.dependant):
            found |= {f"{method} {context.path}" for method in route.methods or ()}
    return found


def test_every_route_has_a_rule_or_is_public_on_purpose(app: FastAPI) -> None:
    assert open_routes(app) == PUBLIC


def test_a_route_without_a_rule_is_noticed(app: FastAPI) -> None:
    @app.get("/forgotten")
    async def forgotten() -> None: ...

    # Knowing who calls is no rule: an API key without any scope would do.
    @app.get("/too-open")
    async def too_open(_: deps.WhoeverCalls) -> None: ...

    @app.get("/by-session")
    async def by_session(_: CurrentPrincipal) -> None: ...

    @app.get("/by-scope")
    async def by_scope(_: Annotated[AnyPrincipal, Requires(Scope.JOBS_READ)]) -> None: ...

    assert open_routes(app) - PUBLIC == {"GET /forgotten", "GET /too-open"}


def test_every_scope_is_described_and_superusers_have_all() -> None:
    assert set(DESCRIPTIONS) == set(Scope) == SUPERUSER
    assert USER < SUPERUSER
