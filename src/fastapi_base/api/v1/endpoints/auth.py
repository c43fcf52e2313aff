"""Registration, login, refresh, logout."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.security import OAuth2PasswordRequestForm

from fastapi_base.api.deps import CurrentPrincipal, OriginDep, ResourcesDep, SessionDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    EmailNotVerified,
    InvalidChallenge,
    InvalidCredentials,
    InvalidLink,
    InvalidRefreshToken,
    NoFactor,
    NotAuthenticated,
    Overloaded,
    RegistrationClosed,
    SecondFactorRequired,
    TooManyAttempts,
    Unavailable,
    WeakPassword,
    WrongCode,
)
from fastapi_base.schemas.auth import RefreshRequest, TokenRead
from fastapi_base.schemas.second_factor import SecondFactorLogin
from fastapi_base.schemas.user import Received, UserRegister
from fastapi_base.services import sessions

router = APIRouter(prefix="/auth", tags=["auth"])
# RFC 6749, 5.1
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@router.post(
    "/register",
    status_code=202,
    summary="Register an account",
    description="Always answers the same, so that it does not tell who has an account.",
    response_description="Received",
    responses=problems(
        400,
        413,
        422,
        InvalidLink,
        WeakPassword,
        RegistrationClosed,
        TooManyAttempts,
        Overloaded,
        Unavailable,
    ),
)
async def register(body: UserRegister, resources: ResourcesDep, origin: OriginDep) -> Received:
    """Add an account unless the address has one."""
    await resources.accounts.register(
        email=body.email, password=body.password, invitation=body.invitation, origin=origin
    )
    return Received(message="If the address was free, the account exists now. Log in.")


@router.post(
    "/login",
    summary="Log in",
    description="OAuth2 password form; `username` is the email address. The token goes into the"
    " header `Authorization: Bearer ...` of other requests. After some failures, wait as long as"
    " `Retry-After` says.",
    response_description="An access token and a refresh token",
    responses=problems(
        400,
        413,
        422,
        InvalidCredentials,
        SecondFactorRequired,
        EmailNotVerified,
        TooManyAttempts,
        Overloaded,
        Unavailable,
    ),
)
async def login(
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    resources: ResourcesDep,
    origin: OriginDep,
    response: Response,
) -> TokenRead:
    """Exchange email address and password for the tokens of a new session."""
    response.headers.update(_NO_STORE)
    return await resources.auth.log_in(email=form.username, password=form.password, origin=origin)


@router.post(
    "/login/second-factor",
    summary="Finish a login with a code",
    description="Where an account has one, login answers 401 `second-factor-required`, with"
    " a `challenge`, good for a few minutes and one login. It goes here, with a code.",
    response_description="An access token and a refresh token",
    responses=problems(
        400,
        413,
        422,
        InvalidChallenge,
        WrongCode,
        NoFactor,
        TooManyAttempts,
        Overloaded,
        Unavailable,
    ),
)
async def login_second_factor(
    body: SecondFactorLogin, resources: ResourcesDep, origin: OriginDep, response: Response
) -> TokenRead:
    """Exchange a challenge and a code for the tokens of a new session."""
    response.headers.update(_NO_STORE)
    return await resources.second_factor.finish_login(body.challenge, body, origin)


@router.post(
    "/refresh",
    summary="Go on with a session",
    description="Exchange a refresh token for the next pair. Each is good once: using one again"
    " ends its session, since somebody has a copy.",
    response_description="The next tokens",
    responses=problems(400, 413, 422, InvalidRefreshToken, Overloaded, Unavailable),
)
async def refresh(
    body: RefreshRequest, resources: ResourcesDep, origin: OriginDep, response: Response
) -> TokenRead:
    """Exchange a refresh token."""
    response.headers.update(_NO_STORE)
    return await resources.auth.refresh(body.refresh_token, origin)


@router.post(
    "/logout",
    status_code=204,
    summary="Log out",
    description="Ends the session that the access token belongs to, from the next request on.",
    response_description="Logged out",
    responses=problems(NotAuthenticated, Overloaded, Unavailable),
)
async def logout(principal: CurrentPrincipal, session: SessionDep, origin: OriginDep) -> None:
    """End this session."""
    await sessions.revoke(session, principal.user.id, principal.session_id, origin, reason="logout")
