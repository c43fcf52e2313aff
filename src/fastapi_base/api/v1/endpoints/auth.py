"""Registration and login."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.security import OAuth2PasswordRequestForm

from fastapi_base.api.deps import ResourcesDep, SessionDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import InvalidCredentials, Overloaded, Unavailable
from fastapi_base.schemas.auth import TokenRead
from fastapi_base.schemas.user import RegistrationReceived, UserRegister
from fastapi_base.services import auth

router = APIRouter(prefix="/auth", tags=["auth"])


@router.post(
    "/register",
    status_code=202,
    summary="Register an account",
    description="Always answers the same, so that it does not tell who has an account.",
    response_description="Received",
    responses=problems(400, 413, 422, Overloaded, Unavailable),
)
async def register(
    body: UserRegister, session: SessionDep, resources: ResourcesDep
) -> RegistrationReceived:
    """Add an account unless the address has one."""
    await auth.register(session, resources.hasher, email=body.email, password=body.password)
    return RegistrationReceived(message="If the address was free, the account exists now. Log in.")


@router.post(
    "/login",
    summary="Log in",
    description="OAuth2 password form; `username` is the email address. The token goes into the"
    " header `Authorization: Bearer ...` of other requests.",
    response_description="An access token",
    responses=problems(400, 413, 422, InvalidCredentials, Overloaded, Unavailable),
)
async def login(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], resources: ResourcesDep
) -> TokenRead:
    """Exchange email address and password for an access token."""
    token = await auth.log_in(
        resources.database,
        resources.hasher,
        resources.tokens,
        email=form.username,
        password=form.password,
    )
    return TokenRead(access_token=token.value, expires_in=token.seconds)
