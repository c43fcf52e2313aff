"""Dependencies of routes, as Annotated aliases whose names say what is needed."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.api.resources import Resources
from fastapi_base.core.errors import NotAuthenticated
from fastapi_base.schemas.user import UserRead
from fastapi_base.services import auth

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


async def _current_user(
    resources: ResourcesDep, token: Annotated[str | None, Depends(_bearer)]
) -> UserRead:
    if not token:
        raise NotAuthenticated
    return await auth.identify(resources.database, resources.tokens, token)


CurrentUser = Annotated[UserRead, Depends(_current_user)]
