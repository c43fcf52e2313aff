"""Every route whose reply holds a secret is marked as not cacheable."""

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from fastapi_base.api.dependencies.caching import HOLDS_SECRET

MARKED = {
    "GET /api/v1/auth/csrf",
    "POST /api/v1/api-keys",
    "POST /api/v1/api-keys/{key_id}/rotate",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/login/passkey",  # slice: passkeys
    "POST /api/v1/auth/login/passkey/options",  # slice: passkeys
    "POST /api/v1/auth/login/second-factor",
    "POST /api/v1/auth/oidc/{provider}/begin",  # slice: oidc
    "POST /api/v1/auth/oidc/{provider}/finish",  # slice: oidc
    "POST /api/v1/auth/oidc/{provider}/link/begin",  # slice: oidc
    "POST /api/v1/auth/passkey-options",  # slice: passkeys
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/totp",
    "POST /api/v1/auth/totp/confirm",
    "POST /api/v1/auth/totp/recovery-codes",
}
# Members of replies that grant access to their holder.
SECRETS = {
    "access_token",
    "refresh_token",
    "csrf_token",
    "key",
    "secret",
    "recovery_codes",
    "codes",
}


def marked(dependant: Dependant) -> bool:
    return any(
        inner.call is HOLDS_SECRET.dependency or marked(inner) for inner in dependant.dependencies
    )


def names(app: FastAPI, *, of_marked: bool) -> set[str]:
    """The routes that are marked, or those whose reply has a member that is a secret."""
    schemas = app.openapi()["components"]["schemas"]
    holding = {
        name for name, schema in schemas.items() if SECRETS & set(schema.get("properties", {}))
    }
    # Those that refer to one, such as LoginResult.
    holding |= {
        name
        for name, schema in schemas.items()
        if any(f"/{one}'" in str(schema) for one in holding)
    }
    found = set()
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        path = context.path or ""
        if not isinstance(route, APIRoute) or not path.startswith("/api"):
            continue
        for method in route.methods or ():
            operation = app.openapi()["paths"][path.replace(":uuid", "")][method.lower()]
            replies = str({k: v for k, v in operation["responses"].items() if k[0] == "2"})
            holds = any(f"/{name}'" in replies for name in holding)
            if marked(route.dependant) if of_marked else holds:
                found.add(f"{method} {path}")
    return found


def test_routes_with_secrets_are_marked(app: FastAPI) -> None:
    assert names(app, of_marked=True) == MARKED
    # The routes whose schema declares a secret are among them.
    holding = names(app, of_marked=False)
    assert {"POST /api/v1/auth/login", "POST /api/v1/api-keys"} <= holding <= MARKED
