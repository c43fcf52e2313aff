"""Registration, login, refresh, logout."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from fastapi_base.api.dependencies import cookies
from fastapi_base.api.dependencies.bounds import compares_only
from fastapi_base.api.dependencies.caching import HOLDS_SECRET
from fastapi_base.api.dependencies.delivery import DeliveryDep
from fastapi_base.api.deps import (
    CurrentPrincipal,
    OriginDep,
    ResourcesDep,
    SessionDep,
    WritableUnlessReadOnly,
)
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    AccountChanged,
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
from fastapi_base.schemas.identity.auth import CookieRead, LoginResult, RefreshRequest, TokenRead
from fastapi_base.schemas.identity.second_factor import SecondFactorLogin
from fastapi_base.schemas.identity.user import Received, UserRegister
from fastapi_base.services.identity import sessions

router = APIRouter(prefix="/auth", tags=["auth"])


async def _credentials(
    *,
    # An empty field counts as absent, as FastAPI reads forms.
    grant_type: Annotated[
        str | None,
        Form(
            pattern="^password$",
            examples=["password"],
            json_schema_extra={"pattern": "^(password)?$"},
        ),
    ] = None,
    username: Annotated[
        str,
        Form(
            description="E-mail address.",
            examples=["ada@example.com"],
            json_schema_extra={"minLength": 1},
        ),
    ],
    password: Annotated[
        str,
        Form(
            examples=["correct horse battery staple"],
            json_schema_extra={"minLength": 1, "format": "password"},
        ),
    ],
    # Members of the OAuth2 form (RFC 6749, 4.3.2) that have no effect.
    scope: Annotated[str, Form(examples=[""])] = "",
    client_id: Annotated[str | None, Form(examples=["app"])] = None,
    client_secret: Annotated[
        str | None, Form(examples=["secret"], json_schema_extra={"format": "password"})
    ] = None,
) -> tuple[str, str]:
    return username, password


@router.post(
    "/register",
    dependencies=[WritableUnlessReadOnly],
    status_code=202,
    summary="Register an account",
    description="The response is always the same, which prevents account enumeration.",
    response_description="Received",
    responses=problems(
        InvalidLink,
        WeakPassword,
        RegistrationClosed,
        TooManyAttempts,
        Overloaded,
        Unavailable,
    ),
)
async def register(body: UserRegister, resources: ResourcesDep, origin: OriginDep) -> Received:
    """Create an account unless the address already has one."""
    await resources.accounts.register(
        email=body.email, password=body.password, invitation=body.invitation, origin=origin
    )
    return Received(message="If the address was available, the account now exists. Log in.")


@router.post(
    "/login",
    summary="Log in",
    description="OAuth2 password form; `username` is the e-mail address. Send the access token as"
    " `Authorization: Bearer ...`. After repeated failures, wait for the seconds in"
    " `Retry-After`.",
    response_description="An access token and a refresh token, or the CSRF token of the cookie",
    responses=problems(
        InvalidCredentials,
        CrossSiteRequest,
        SecondFactorRequired,
        EmailNotVerified,
        AccountChanged,
        TooManyAttempts,
        Overloaded,
        Unavailable,
    ),
)
@compares_only
async def login(
    credentials: Annotated[tuple[str, str], Depends(_credentials)],
    resources: ResourcesDep,
    origin: OriginDep,
    delivery: DeliveryDep,
) -> LoginResult:
    """Exchange e-mail address and password for a new session."""
    email, password = credentials
    grant = await resources.auth.log_in(
        email=email,
        password=password,
        origin=origin,
        refreshable=delivery.refreshable,
    )
    return await delivery.hand_over(grant)


@router.post(
    "/login/second-factor",
    summary="Complete a login with a second factor",
    description="If the account has a second factor, login returns 401 `second-factor-required`"
    " with a `challenge`. Send it here with a code. It is valid for a few minutes and one login.",
    response_description="An access token and a refresh token, or the CSRF token of the cookie",
    responses=problems(
        InvalidChallenge,
        CrossSiteRequest,
        WrongCode,
        NoFactor,
        EmailNotVerified,
        TooManyAttempts,
        Overloaded,
        Unavailable,
    ),
)
async def login_second_factor(
    body: SecondFactorLogin, resources: ResourcesDep, origin: OriginDep, delivery: DeliveryDep
) -> LoginResult:
    """Exchange a challenge and a code for a new session."""
    grant = await resources.second_factor.finish_login(
        body.challenge, body, origin, refreshable=delivery.refreshable
    )
    return await delivery.hand_over(grant)


@router.post(
    "/refresh",
    dependencies=[HOLDS_SECRET],
    summary="Refresh a session",
    description="Exchanges a refresh token for a new pair of tokens. A request repeated by another"
    " tab or after a lost response also returns a pair. Reuse of a token whose successor was"
    " already used ends the session, because the token was copied.",
    response_description="The new tokens",
    responses=problems(InvalidRefreshToken, Overloaded, Unavailable),
)
async def refresh(body: RefreshRequest, resources: ResourcesDep, origin: OriginDep) -> TokenRead:
    """Exchange a refresh token."""
    return await resources.auth.refresh(body.refresh_token, origin)


@router.post(
    "/logout",
    status_code=204,
    summary="Log out",
    description="Ends the session of the access token or the cookie, from the next request on.",
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
    summary="Read the CSRF token",
    description="Returns the CSRF token of the session cookie, for pages after a reload. Send it in"
    " `X-CSRF-Token` with unsafe methods. Other sites cannot read it.",
    response_description="The token",
    responses=problems(NotAuthenticated, Overloaded, Unavailable),
)
async def read_csrf_token(
    principal: CurrentPrincipal, resources: ResourcesDep, request: Request
) -> CookieRead:
    """The token of a browser's session."""
    value = cookies.cookie_of(request, resources)
    if value is None:
        raise NotAuthenticated("Only cookie sessions have a CSRF token")
    browser = await cookies.browser_of(request, resources, value)
    return CookieRead(csrf_token=browser.csrf_token)
