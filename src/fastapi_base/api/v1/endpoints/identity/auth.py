"""Registration, login, refresh, logout."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import OAuth2PasswordRequestForm

from fastapi_base.api import cookies
from fastapi_base.api.caching import HOLDS_SECRET
from fastapi_base.api.delivery import DeliveryDep
from fastapi_base.api.deps import (
    CurrentPrincipal,
    OriginDep,
    ResourcesDep,
    SessionDep,
    WritableUnlessReadOnly,
)
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    CrossSiteRequest,
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
from fastapi_base.schemas.auth import CookieRead, RefreshRequest, TokenRead
from fastapi_base.schemas.second_factor import SecondFactorLogin
from fastapi_base.schemas.user import Received, UserRegister
from fastapi_base.services import sessions

router = APIRouter(prefix="/auth", tags=["auth"])


@router.post(
    "/register",
    dependencies=[WritableUnlessReadOnly],
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
    response_description="An access token and a refresh token, or the token beside the cookie",
    responses=problems(
        400,
        413,
        422,
        InvalidCredentials,
        CrossSiteRequest,
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
    delivery: DeliveryDep,
) -> TokenRead | CookieRead:
    """Exchange email address and password for a new session."""
    grant = await resources.auth.log_in(
        email=form.username,
        password=form.password,
        origin=origin,
        refreshable=delivery.refreshable,
    )
    return await delivery.hand_over(grant)


@router.post(
    "/login/second-factor",
    summary="Finish a login with a code",
    description="Where an account has one, login answers 401 `second-factor-required`, with"
    " a `challenge`, good for a few minutes and one login. It goes here, with a code.",
    response_description="An access token and a refresh token, or the token beside the cookie",
    responses=problems(
        400,
        413,
        422,
        InvalidChallenge,
        CrossSiteRequest,
        WrongCode,
        NoFactor,
        TooManyAttempts,
        Overloaded,
        Unavailable,
    ),
)
async def login_second_factor(
    body: SecondFactorLogin, resources: ResourcesDep, origin: OriginDep, delivery: DeliveryDep
) -> TokenRead | CookieRead:
    """Exchange a challenge and a code for a new session."""
    grant = await resources.second_factor.finish_login(
        body.challenge, body, origin, refreshable=delivery.refreshable
    )
    return await delivery.hand_over(grant)


@router.post(
    "/refresh",
    dependencies=[HOLDS_SECRET],
    summary="Go on with a session",
    description="Exchange a refresh token for the next pair. Each is good once: using one again"
    " ends its session, since somebody has a copy.",
    response_description="The next tokens",
    responses=problems(400, 413, 422, InvalidRefreshToken, Overloaded, Unavailable),
)
async def refresh(body: RefreshRequest, resources: ResourcesDep, origin: OriginDep) -> TokenRead:
    """Exchange a refresh token."""
    return await resources.auth.refresh(body.refresh_token, origin)


@router.post(
    "/logout",
    status_code=204,
    summary="Log out",
    description="Ends the session that the access token or the cookie belongs to, from the next"
    " request on.",
    response_description="Logged out",
    responses=problems(NotAuthenticated, Overloaded, Unavailable),
)
async def logout(
    principal: CurrentPrincipal,
    session: SessionDep,
    resources: ResourcesDep,
    origin: OriginDep,
    request: Request,
    response: Response,
) -> None:
    """End this session."""
    await sessions.revoke(session, principal.user.id, principal.session_id, origin, reason="logout")
    await cookies.clear(request, response, resources)


@router.get(
    "/csrf",
    dependencies=[HOLDS_SECRET],
    summary="Which token goes with my cookie?",
    description="For pages that were loaded anew. It goes into `X-CSRF-Token` of requests"
    " that change something. Other sites cannot read it.",
    response_description="The token",
    responses=problems(NotAuthenticated, Overloaded, Unavailable),
)
async def read_csrf_token(
    principal: CurrentPrincipal, resources: ResourcesDep, request: Request
) -> CookieRead:
    """The token of a browser's session."""
    value = cookies.cookie_of(request, resources)
    if value is None:
        raise NotAuthenticated("Only sessions with a cookie have such a token")
    browser = await resources.browsers.find(value)
    return CookieRead(csrf_token=browser.csrf_token)
