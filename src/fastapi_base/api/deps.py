"""Dependencies of routes, as Annotated aliases named after what they provide."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.security import APIKeyCookie, HTTPBearer, OAuth2PasswordBearer
from fastapi.security.utils import get_authorization_scheme_param
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from fastapi_base.api.dependencies import cookies
from fastapi_base.api.middleware.request_id import request_id_of
from fastapi_base.api.resources import Resources
from fastapi_base.core.errors import (
    Forbidden,
    InsufficientScope,
    NotAuthenticated,
    ReadOnly,
    SessionNeeded,
)
from fastapi_base.core.flags import READ_ONLY
from fastapi_base.core.security import api_key, scopes
from fastapi_base.core.security.caller import Origin
from fastapi_base.core.security.scopes import Scope
from fastapi_base.db.session import ReplicaConnection
from fastapi_base.schemas.identity.user import UserRead
from fastapi_base.services.identity import api_keys
from fastapi_base.services.identity.api_keys import KeyPrincipal
from fastapi_base.services.identity.auth import Principal

LOGIN_PATH = "/api/v1/auth/login"
_bearer = OAuth2PasswordBearer(
    LOGIN_PATH,
    scheme_name="password",
    description="E-mail address and password.",
    scopes={str(scope): text for scope, text in scopes.DESCRIPTIONS.items()},
    auto_error=False,
)


# These two exist only for the OpenAPI description; the code below reads the credentials.
class _DescribedBearer(HTTPBearer):
    async def __call__(self, request: HTTPConnection) -> None:
        pass


class _DescribedCookie(APIKeyCookie):
    async def __call__(self, request: HTTPConnection) -> None:
        pass


# API keys use the same header.
_api_key = _DescribedBearer(
    bearerFormat="fb_...",
    scheme_name="api-key",
    description="An API key, for routes that list a scope.",
    auto_error=False,
)
# The name differs in development, see cookies.cookie_name.
_cookie = _DescribedCookie(
    name=cookies.SECURE_NAME,
    scheme_name="cookie",
    description="Set by a login with `mode=cookie`. Unsafe methods require the token of"
    f" /auth/csrf in `{cookies.CSRF_HEADER}`.",
    auto_error=False,
)


# All of these are coroutines: FastAPI would run a plain function in a thread, which costs more.
async def _resources(request: Request) -> Resources:
    found = request.app.state.resources
    assert isinstance(found, Resources)
    return found


ResourcesDep = Annotated[Resources, Depends(_resources)]


async def _session(resources: ResourcesDep) -> AsyncIterator[AsyncSession]:
    async with resources.database.transaction() as session:
        yield session


# scope="function": the commit happens before the response is sent, so a client that receives 2xx
# can rely on it, and a failed commit becomes an error response.
SessionDep = Annotated[AsyncSession, Depends(_session, scope="function")]


async def _replica(resources: ResourcesDep) -> AsyncIterator[ReplicaConnection]:
    async with resources.database.read_replica() as connection:
        yield connection


# For reads that tolerate replication lag. It holds a connection while the route runs.
ReplicaDep = Annotated[ReplicaConnection, Depends(_replica, scope="function")]


async def _origin(request: Request) -> Origin:
    return Origin.of(
        # The server determines it: the peer, or the client named by a proxy in
        # API_FORWARDED_ALLOW_IPS.
        request.client.host if request.client else None,
        request.headers.get("user-agent"),
        request_id_of(request.scope),
    )


OriginDep = Annotated[Origin, Depends(_origin)]


async def _principal(
    request: Request,
    resources: ResourcesDep,
    token: Annotated[str | None, Depends(_bearer)],
    _described: Annotated[None, Depends(_cookie)],
) -> Principal:
    if value := cookies.cookie_of(request, resources):
        browser = await cookies.browser_of(request, resources, value)
        known = await resources.auth.identify_session(browser.user_id, browser.session_id)
    elif not token:
        raise NotAuthenticated
    elif api_key.claims_to_be(token):
        raise SessionNeeded
    else:
        known = await resources.auth.identify(token)
    # For middleware, and for dependencies that accept other callers as well.
    request.state.principal = known
    return known


# The account and session of the caller. API keys are refused: they work only on routes that name a
# scope.
CurrentPrincipal = Annotated[Principal, Depends(_principal)]


async def _maybe_principal(request: Request, resources: ResourcesDep) -> Principal | None:
    if "authorization" not in request.headers and not cookies.cookie_of(request, resources):
        return None
    # Not a dependency: OpenAPI would then require a session for the route.
    return await _principal(request, resources, await _bearer(request), None)


# For routes that accept another credential instead of a session. A session that has ended is still
# refused.
MaybePrincipal = Annotated[Principal | None, Depends(_maybe_principal)]


async def _current_user(principal: CurrentPrincipal) -> UserRead:
    return principal.user


CurrentUser = Annotated[UserRead, Depends(_current_user)]


async def _current_superuser(user: CurrentUser) -> UserRead:
    if not user.is_superuser:
        raise Forbidden
    return user


CurrentSuperuser = Annotated[UserRead, Depends(_current_superuser)]

# A person in a session, or a program with an API key.
AnyPrincipal = Principal | KeyPrincipal


async def _any_principal(
    request: Request,
    resources: ResourcesDep,
    token: Annotated[str | None, Depends(_bearer)],
    _described: Annotated[None, Depends(_api_key)],
) -> AnyPrincipal:
    # FastAPI calls this once for each distinct set of scopes.
    known: AnyPrincipal | None = getattr(request.state, "principal", None)
    if known is None:
        if token and api_key.claims_to_be(token):
            known = await api_keys.identify(resources.database, resources.key_uses, token)
            request.state.principal = known
        else:
            known = await _principal(request, resources, token, None)
    return known


# The current caller. It checks no scope, so the route needs one as well.
CurrentCaller = Annotated[AnyPrincipal, Depends(_any_principal)]


_IDENTIFYING: set[Callable[..., Any]] = {_principal, _any_principal}


def identifies_caller[F: Callable[..., Any]](dependency: F) -> F:
    """Mark a dependency that identifies the caller by itself, and fails without credentials."""
    _IDENTIFYING.add(dependency)
    return dependency


def needs_caller(dependant: Dependant) -> bool:
    """Whether a route, or any of its dependencies, requires an authenticated caller."""
    return dependant.call in _IDENTIFYING or any(
        needs_caller(inner) for inner in dependant.dependencies
    )


def bearer_token(headers: Headers) -> str:
    """The token of `Authorization: Bearer ...` (RFC 6750, 2.1); empty if there is none."""
    scheme, token = get_authorization_scheme_param(headers.get("authorization"))
    return token if scheme.lower() == "bearer" else ""


def check_credentials(request: Request, resources: Resources) -> None:
    """Raise NotAuthenticated if the credentials are invalid without consulting the database.

    That is: neither cookie nor token, or a token that is malformed, forged or expired. The body
    middleware calls this before it reads a body.
    """
    if cookies.cookie_of(request, resources):
        return
    token = bearer_token(request.headers)
    if not token:
        raise NotAuthenticated
    if not api_key.claims_to_be(token):
        resources.tokens.read(token)
    elif not api_key.well_formed(token):
        raise NotAuthenticated


def Requires(scope: Scope) -> Any:
    """`Annotated[AnyPrincipal, Requires(Scope.X)]`: a caller with this scope.

    Other callers get InsufficientScope, unauthenticated ones NotAuthenticated.
    """

    async def authorised(principal: CurrentCaller) -> AnyPrincipal:
        if scope not in principal.scopes:
            raise InsufficientScope(scope)
        return principal

    return Security(authorised, scopes=[str(scope)])


async def _writable(request: Request, resources: ResourcesDep) -> None:
    if request.method not in {"GET", "HEAD", "OPTIONS"} and resources.flags.value(READ_ONLY):
        raise ReadOnly


# For whole routers: reject changes while the feature flag read-only is on.
WritableUnlessReadOnly = Depends(_writable)
