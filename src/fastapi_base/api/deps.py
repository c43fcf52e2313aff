"""Dependencies of routes, as Annotated aliases whose names say what is needed."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.api.middleware.request_id import request_id_of
from fastapi_base.api.resources import Resources
from fastapi_base.core.caller import Origin
from fastapi_base.core.errors import Forbidden, NotAuthenticated, ReadOnly
from fastapi_base.core.flags import READ_ONLY
from fastapi_base.schemas.user import UserRead
from fastapi_base.services.auth import Principal

LOGIN_PATH = "/api/v1/auth/login"
_bearer = OAuth2PasswordBearer(
    LOGIN_PATH, scheme_name="password", description="Email and password.", auto_error=False
)


def _resources(request: Request) -> Resources:
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


def _origin(request: Request) -> Origin:
    return Origin.of(
        # The peer, or what a proxy in API_FORWARDED_ALLOW_IPS says of it; the server decides.
        request.client.host if request.client else None,
        request.headers.get("user-agent"),
        request_id_of(request.scope),
    )


OriginDep = Annotated[Origin, Depends(_origin)]


async def _principal(
    resources: ResourcesDep, token: Annotated[str | None, Depends(_bearer)]
) -> Principal:
    if not token:
        raise NotAuthenticated
    return await resources.auth.identify(token)


CurrentPrincipal = Annotated[Principal, Depends(_principal)]


async def _current_user(principal: CurrentPrincipal) -> UserRead:
    return principal.user


CurrentUser = Annotated[UserRead, Depends(_current_user)]


async def _current_superuser(user: CurrentUser) -> UserRead:
    if not user.is_superuser:
        raise Forbidden
    return user


CurrentSuperuser = Annotated[UserRead, Depends(_current_superuser)]


async def _writable(request: Request, resources: ResourcesDep) -> None:
    if request.method not in {"GET", "HEAD", "OPTIONS"} and resources.flags.value(READ_ONLY):
        raise ReadOnly


# For whole routers: they refuse changes while the feature flag read-only is on.
WritableUnlessReadOnly = Depends(_writable)
