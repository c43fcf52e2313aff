"""Login and logout."""

import json
from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import ValidationError

from fastapi_base.api.console.operators import LeaverDep, ViewerDep
from fastapi_base.api.console.site import page, redirect, site_of
from fastapi_base.api.dependencies import cookies
from fastapi_base.api.dependencies.bounds import compares_only
from fastapi_base.api.dependencies.delivery import Delivery
from fastapi_base.api.deps import OriginDep, ResourcesDep, SessionDep
from fastapi_base.api.errors import status_of
from fastapi_base.api.resources import Resources
from fastapi_base.core.errors import (
    DomainError,
    InvalidPasskey,
    SecondFactorRequired,
    TooManyAttempts,
    WrongCode,
)
from fastapi_base.core.security.caller import Origin
from fastapi_base.schemas.identity.second_factor import SecondFactorCode
from fastapi_base.services.identity import sessions

router = APIRouter()
Next = Annotated[str, Form(max_length=2000)]
_TEXT_MAX = 100_000


@router.get("/login")
async def read_login(request: Request, resources: ResourcesDep) -> Response:
    """The login form."""
    return _form(request, resources, next_page=request.query_params.get("next", ""))


@router.post("/login")
@compares_only
async def log_in(
    request: Request,
    resources: ResourcesDep,
    origin: OriginDep,
    username: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next_page: Next = "",
) -> Response:
    """Log in with a password, or ask for the second factor."""
    cookies.refuse_other_sites(request)
    try:
        grant = resources.auth.log_in(
            email=username, password=password, origin=origin, refreshable=False
        )
        return await _enter(request, resources, origin, next_page, grant)
    except SecondFactorRequired as needed:
        challenge = str(needed.extra["challenge"])
        return page(
            request, "second_factor.html", challenge=challenge, next_page=next_page, error=None
        )
    except DomainError as error:
        return _form(request, resources, next_page=next_page, username=username, error=error)


@router.post("/login/second-factor")
@compares_only
async def log_in_second_factor(
    request: Request,
    resources: ResourcesDep,
    origin: OriginDep,
    challenge: Annotated[str, Form(max_length=256)] = "",
    code: Annotated[str, Form(max_length=64)] = "",
    next_page: Next = "",
) -> Response:
    """Complete a login with a code of the application, or a recovery code."""
    cookies.refuse_other_sites(request)
    try:
        grant = resources.second_factor.finish_login(
            challenge, _code(code), origin, refreshable=False
        )
        return await _enter(request, resources, origin, next_page, grant)
    except (WrongCode, TooManyAttempts) as error:
        shown = page(
            request,
            "second_factor.html",
            status=status_of(type(error)),
            challenge=challenge,
            next_page=next_page,
            error=error.detail,
        )
        return _with_wait(shown, error)
    except DomainError as error:
        return _form(request, resources, next_page=next_page, error=error)


def _code(given: str) -> SecondFactorCode:
    """Six digits are a code of the application; anything else is a recovery code."""
    text = "".join(given.split())
    try:
        if text.isdecimal():
            return SecondFactorCode(code=text)
        return SecondFactorCode(recovery_code=text)
    except ValidationError:
        raise WrongCode from None


@router.post("/login/passkey/begin")
async def begin_passkey(
    request: Request, resources: ResourcesDep, next_page: Next = ""
) -> Response:
    """The page whose script asks the browser for a passkey."""
    cookies.refuse_other_sites(request)
    options = await resources.passkeys.request_options()
    return page(
        request, "passkey.html", options=json.dumps(options.public_key), next_page=next_page
    )


@router.post("/login/passkey")
@compares_only
async def log_in_passkey(
    request: Request,
    resources: ResourcesDep,
    origin: OriginDep,
    credential: Annotated[str, Form(max_length=_TEXT_MAX)] = "",
    next_page: Next = "",
) -> Response:
    """Log in with the browser's response to the options."""
    cookies.refuse_other_sites(request)
    try:
        grant = resources.passkeys.log_in(_credential(credential), origin, refreshable=False)
        return await _enter(request, resources, origin, next_page, grant)
    except DomainError as error:
        return _form(request, resources, next_page=next_page, error=error)


def _credential(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidPasskey from None
    if not isinstance(found, dict):
        raise InvalidPasskey
    return found


@router.get("/logout")
async def read_logout(request: Request, viewer: ViewerDep) -> Response:
    """The form that ends the session, also for accounts that may not use the console."""
    return page(request, "logout.html", viewer=viewer)


@router.post("/logout")
async def log_out(
    request: Request,
    leaver: LeaverDep,
    session: SessionDep,
    resources: ResourcesDep,
    origin: OriginDep,
) -> Response:
    """End the session."""
    mine = leaver.principal
    await sessions.revoke(session, mine.user.id, mine.session_id, origin, reason="logout")
    reply = redirect(request, "/login")
    await cookies.clear(request, reply, resources)
    return reply


async def _enter(
    request: Request,
    resources: Resources,
    origin: Origin,
    next_page: str,
    grant: Awaitable[sessions.Grant],
) -> Response:
    """Set the cookie, and show the page that the person asked for."""
    site = site_of(request)
    granted = await grant
    reply = redirect(request, site.target(next_page).removeprefix(site.path))
    await Delivery(request, reply, resources, origin, cookie=True).hand_over(granted)
    return reply


def _form(
    request: Request,
    resources: Resources,
    *,
    next_page: str,
    username: str = "",
    error: DomainError | None = None,
) -> Response:
    reply = page(
        request,
        "login.html",
        status=status_of(type(error)) if error else 200,
        next_page=next_page,
        username=username,
        error=error.detail if error else None,
        passkeys=resources.settings.passkey.rp_id is not None,
    )
    return reply if error is None else _with_wait(reply, error)


def _with_wait(reply: Response, error: DomainError) -> Response:
    if error.retry_after is not None:
        reply.headers["Retry-After"] = str(error.retry_after)
    return reply
