"""Dependencies of routes, as Annotated aliases whose names say what is needed."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer, OAuth2PasswordBearer
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import HTTPConnection

from fastapi_base.api import cookies
from fastapi_base.api.middleware.request_id import request_id_of
from fastapi_base.api.resources import Resources
from fastapi_base.core import api_key, scopes
from fastapi_base.core.caller import Origin
from fastapi_base.core.errors import (
    Forbidden,
    InsufficientScope,
    NotAuthenticated,
    ReadOnly,
    SessionNeeded,
)
from fastapi_base.core.flags import READ_ONLY
from fastapi_base.core.scopes import Scope
from fastapi_base.db.database import ReplicaConnection
from fastapi_base.schemas.user import UserRead
from fastapi_base.services import api_keys
from fastapi_base.services.api_keys import KeyPrincipal
from fastapi_base.services.auth import Principal

LOGIN_PATH = "/api/v1/auth/login"
_bearer = OAuth2PasswordBearer(
    LOGIN_PATH,
    scheme_name="password",
    description="Email and password.",
    scopes={str(scope): text for scope, text in scopes.DESCRIPTIONS.items()},
    auto_error=False,
)


# These two are for the description alone: what they would read is read below.
class _DescribedBearer(HTTPBearer):
    async def __call__(self, request: HTTPConnection) -> None:
        pass


class _DescribedCookie(APIKeyCookie):
    async def __call__(self, request: HTTPConnection) -> None:
        pass


# Comes in the same header.
_api_key = _DescribedBearer(
    bearerFormat="fb_...",
    scheme_name="api-key",
    description="An API key, for routes that name a scope.",
    auto_error=False,
)
# The name differs in development, see cookies.cookie_name.
_cookie = _DescribedCookie(
    name=cookies.SECURE_NAME,
    scheme_name="cookie",
    description="Set by a login with `mode=cookie`. Requests that change something bring the token"
    f" of /auth/csrf in `{cookies.CSRF_HEADER}`.",
    auto_error=False,
)


# Coroutines, all of these: a plain function would go to a thread, which costs more than it does.
async def _resources(request: Request) -> Resources:
    found = request.app.state.resources
    assert isinstance(found, Resources)
    return found


ResourcesDep = Annotated[Resources, Depends(_resources)]


async def _session(resources: ResourcesDep) -> AsyncIterator[AsyncSession]:
    async with resources.database.transaction() as session:
        yield session


# scope="function": the commit happens before the reply leaves, so a caller that saw 2xx can rely on
# it, and a commit that fails becomes an error reply.
SessionDep = Annotated[AsyncSession, Depends(_session, scope="function")]


async def _replica(resources: ResourcesDep) -> AsyncIterator[ReplicaConnection]:
    async with resources.database.read_replica() as connection:
        yield connection


# For reads that may be a moment old. It holds a connection while the route runs.
ReplicaDep = Annotated[ReplicaConnection, Depends(_replica, scope="function")]


async def _origin(request: Request) -> Origin:
    return Origin.of(
        # The peer, or what a proxy in API_FORWARDED_ALLOW_IPS says of it; the server decides.
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
        return await resources.auth.identify_session(browser.user_id, browser.session_id)
    if not token:
        raise NotAuthenticated
    if api_key.claims_to_be(token):
        raise SessionNeeded
    return await resources.auth.identify(token)


# Who is logged in. An API key does not do: keys are for routes that name a scope.
CurrentPrincipal = Annotated[Principal, Depends(_principal)]


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
    # FastAPI calls this once for each set of scopes that a route names.
    known: AnyPrincipal | None = getattr(request.state, "principal", None)
    if known is None:
        if token and api_key.claims_to_be(token):
            known = await api_keys.identify(resources.database, resources.key_uses, token)
        else:
            known = await _principal(request, resources, token, None)
        request.state.principal = known
    return known


# For what is done on behalf of whoever is calling; it checks no scope, so a route needs one beside.
WhoeverCalls = Annotated[AnyPrincipal, Depends(_any_principal)]


def Requires(scope: Scope) -> Any:
    """`Annotated[AnyPrincipal, Requires(Scope.X)]`: a caller who may do this.

    Others are refused with InsufficientScope, and with NotAuthenticated who is not known.
    """

    async def authorised(principal: WhoeverCalls) -> AnyPrincipal:
        if scope not in principal.scopes:
            raise InsufficientScope(scope)
        return principal

    return Security(authorised, scopes=[str(scope)])


async def _writable(request: Request, resources: ResourcesDep) -> None:
    if request.method not in {"GET", "HEAD", "OPTIONS"} and resources.flags.value(READ_ONLY):
        raise ReadOnly


# For whole routers: they refuse changes while the feature flag read-only is on.
WritableUnlessReadOnly = Depends(_writable)
