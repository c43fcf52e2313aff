"""The end of the caller's account."""

from fastapi import APIRouter

from fastapi_base.api.deps import CurrentPrincipal, OriginDep, ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    LastSuperuser,
    NotAuthenticated,
    Overloaded,
    TooManyAttempts,
    Unavailable,
    WrongPassword,
)
from fastapi_base.schemas.lifecycle import DeletionRead, PasswordGiven

router = APIRouter(prefix="/users/me", tags=["users"])
_PROBLEMS = problems(
    400,
    413,
    422,
    NotAuthenticated,
    WrongPassword,
    LastSuperuser,
    TooManyAttempts,
    Overloaded,
    Unavailable,
)


@router.post(
    "/deactivation",
    status_code=204,
    summary="Deactivate my account",
    description="Ends all sessions. Logging in makes the account active again.",
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
    description="Ends all sessions. The account is removed after some days, with all that is its;"
    " logging in until then keeps it.",
    response_description="When it will be removed",
    responses=_PROBLEMS,
)
async def delete_me(
    body: PasswordGiven, principal: CurrentPrincipal, resources: ResourcesDep, origin: OriginDep
) -> DeletionRead:
    """Have the caller's account removed."""
    when = await resources.lifecycle.delete(
        principal, password=body.current_password, origin=origin
    )
    return DeletionRead(delete_after=when)
