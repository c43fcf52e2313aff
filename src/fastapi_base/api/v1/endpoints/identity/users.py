"""The caller's account."""

from typing import Annotated

from fastapi import APIRouter

from fastapi_base.api.deps import (
    AnyPrincipal,
    CurrentPrincipal,
    CurrentUser,
    OriginDep,
    Requires,
    ResourcesDep,
    SessionDep,
)
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    AccountChanged,
    InsufficientScope,
    NotAuthenticated,
    Overloaded,
    SessionNeeded,
    TooManyAttempts,
    Unavailable,
    WeakPassword,
    WrongPassword,
)
from fastapi_base.core.security.scopes import Scope
from fastapi_base.schemas.identity.user import PasswordChange, ProfilePatch, UserRead
from fastapi_base.services.identity import profile

router = APIRouter(prefix="/users", tags=["users"])


@router.get(
    "/me",
    summary="Read my account",
    description="The account of the access token or API key.",
    response_description="The account",
    responses=problems(NotAuthenticated, InsufficientScope, Overloaded, Unavailable),
)
async def read_me(
    principal: Annotated[AnyPrincipal, Requires(Scope.PROFILE_READ)],
) -> UserRead:
    """The caller's account."""
    return principal.user


@router.patch(
    "/me",
    summary="Change my account",
    description="Changes only the members sent.",
    response_description="The updated account",
    responses=problems(NotAuthenticated, SessionNeeded, Overloaded, Unavailable),
)
async def update_me(
    body: ProfilePatch, user: CurrentUser, session: SessionDep, origin: OriginDep
) -> UserRead:
    """Change the caller's account."""
    return await profile.change(session, user.id, body, origin=origin)


@router.put(
    "/me/password",
    status_code=204,
    summary="Change my password",
    description="Ends all other sessions of the account.",
    response_description="Changed",
    responses=problems(
        NotAuthenticated,
        SessionNeeded,
        WrongPassword,
        AccountChanged,
        WeakPassword,
        TooManyAttempts,
        Overloaded,
        Unavailable,
    ),
)
async def change_password(
    body: PasswordChange, principal: CurrentPrincipal, resources: ResourcesDep, origin: OriginDep
) -> None:
    """Set a new password, given the current one."""
    await resources.auth.change_password(
        principal, current=body.current_password, new=body.new_password, origin=origin
    )
