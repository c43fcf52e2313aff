"""Accounts."""

from fastapi import APIRouter

from fastapi_base.api.deps import CurrentUser
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import NotAuthenticated, Overloaded, Unavailable
from fastapi_base.schemas.user import UserRead

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
