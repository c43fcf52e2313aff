"""Accounts."""

from fastapi import APIRouter

from fastapi_base.api.deps import CurrentPrincipal, CurrentUser, OriginDep, ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    Conflict,
    NotAuthenticated,
    Overloaded,
    TooManyAttempts,
    Unavailable,
    WeakPassword,
    WrongPassword,
)
from fastapi_base.schemas.user import PasswordChange, UserRead

router = APIRouter(prefix="/users", tags=["users"])


@router.get(
    "/me",
    summary="Who am I",
    description="The account that the access token belongs to.",
    response_description="The account",
    responses=problems(NotAuthenticated, Overloaded, Unavailable),
)
async def read_me(user: CurrentUser) -> UserRead:
    """The caller's account."""
    return user


@router.put(
    "/me/password",
    status_code=204,
    summary="Change my password",
    description="Ends all other sessions of the account.",
    response_description="Changed",
    responses=problems(
        400,
        413,
        422,
        NotAuthenticated,
        WrongPassword,
        Conflict,
        WeakPassword,
        TooManyAttempts,
        Overloaded,
        Unavailable,
    ),
)
async def change_password(
    body: PasswordChange, principal: CurrentPrincipal, resources: ResourcesDep, origin: OriginDep
) -> None:
    """Set a new password, for who knows the old one."""
    await resources.auth.change_password(
        principal, current=body.current_password, new=body.new_password, origin=origin
    )
