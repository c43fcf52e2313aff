"""No route is public by mistake: each has an authorisation rule or is in the list below."""

from typing import Annotated

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from fastapi_base.api import deps
from fastapi_base.api.deps import AnyPrincipal, CurrentPrincipal, Requires
from fastapi_base.core.security.scopes import DESCRIPTIONS, SUPERUSER, USER, Scope
from tests.unit.api.rules import rules

PUBLIC = {
    "POST /api/v1/auth/register",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/login/second-factor",
    "POST /api/v1/auth/login/passkey/options",  # slice: passkeys
    "POST /api/v1/auth/login/passkey",  # slice: passkeys
    "GET /api/v1/auth/oidc",  # slice: oidc
    "POST /api/v1/auth/oidc/{provider}/begin",  # slice: oidc
    "POST /api/v1/auth/oidc/{provider}/finish",  # slice: oidc
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/verify-email",
    "POST /api/v1/auth/verify-email/confirm",
    "POST /api/v1/auth/password-reset",
    "POST /api/v1/auth/password-reset/confirm",
    "POST /api/v1/auth/email-change/confirm",  # slice: email-change
    "GET /.well-known/jwks.json",
    "GET /health/live",
    "GET /health/ready",
    "GET /health/startup",
    "GET /docs",
    "GET /docs/start.js",
    "GET /docs/{name}",
}


def open_routes(app: FastAPI) -> set[str]:
    found = set()
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        # The other routes serve the API description, which holds no secrets.
        if isinstance(route, APIRoute) and not rules(route.dependant):
            found |= {f"{method} {context.path}" for method in route.methods or ()}
    return found


def test_every_route_has_a_rule_or_is_listed_as_public(app: FastAPI) -> None:
    assert open_routes(app) == PUBLIC


def test_route_without_a_rule_is_reported(app: FastAPI) -> None:
    @app.get("/forgotten")
    async def forgotten() -> None: ...

    # Authentication is not an authorisation rule: an API key without any scope would pass.
    @app.get("/too-open")
    async def too_open(_: deps.CurrentCaller) -> None: ...

    @app.get("/by-session")
    async def by_session(_: CurrentPrincipal) -> None: ...

    @app.get("/by-scope")
    async def by_scope(_: Annotated[AnyPrincipal, Requires(Scope.JOBS_READ)]) -> None: ...

    assert open_routes(app) - PUBLIC == {"GET /forgotten", "GET /too-open"}


def test_every_scope_is_described_and_granted_to_superusers() -> None:
    assert set(DESCRIPTIONS) == set(Scope) == SUPERUSER
    assert USER < SUPERUSER
