"""Deactivation and deletion of the caller's account."""

from fastapi import APIRouter

from fastapi_base.api.deps import CurrentPrincipal, OriginDep, ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    AccountChanged,
    LastSuperuser,
    NotAuthenticated,
    Overloaded,
    TooManyAttempts,
    Unavailable,
    WrongPassword,
)
from fastapi_base.schemas.identity.lifecycle import DeletionRead, PasswordGiven

router = APIRouter(prefix="/users/me", tags=["users"])
_PROBLEMS = problems(
    NotAuthenticated,
    WrongPassword,
    LastSuperuser,
    AccountChanged,
    TooManyAttempts,
    Overloaded,
    Unavailable,
)


@router.post(
    "/deactivation",
    status_code=204,
    summary="Deactivate my account",
    description="Ends all sessions. Logging in reactivates the account.",
    response_description="Deactivated",
    responses=_PROBLEMS,
)
async def deactivate_me(
    body: PasswordGiven, principal: CurrentPrincipal, resources: ResourcesDep, origin: OriginDep
) -> None:
    """Deactivate the caller's account."""
    await resources.lifecycle.deactivate(principal, password=body.current_password, origin=origin)


@router.post(
    "/deletion",
    status_code=202,
    summary="Delete my account",
    description="Ends all sessions. The account and all its data are removed after some days."
    " Logging in before then cancels the deletion.",
    response_description="The time of removal",
    responses=_PROBLEMS,
)
async def delete_me(
    body: PasswordGiven, principal: CurrentPrincipal, resources: ResourcesDep, origin: OriginDep
) -> DeletionRead:
    """Schedule the removal of the caller's account."""
    when = await resources.lifecycle.delete(
        principal, password=body.current_password, origin=origin
    )
    return DeletionRead(delete_after=when)
