"""Passkeys: making them, logging in with them, keeping them in order."""

import uuid

from fastapi import APIRouter

from fastapi_base.api.caching import HOLDS_SECRET
from fastapi_base.api.delivery import DeliveryDep
from fastapi_base.api.deps import CurrentPrincipal, OriginDep, ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    Conflict,
    CrossSiteRequest,
    InvalidChallenge,
    InvalidPasskey,
    NotAuthenticated,
    NotFound,
    NotFresh,
    Overloaded,
    PasskeyRefused,
    TooManyAttempts,
    Unavailable,
    WrongPassword,
)
from fastapi_base.schemas.auth import CookieRead, Reauthentication, TokenRead
from fastapi_base.schemas.passkey import (
    PasskeyLogin,
    PasskeyOptions,
    PasskeyRead,
    PasskeyRegister,
    PasskeyRename,
)

router = APIRouter(prefix="/auth", tags=["auth"])
login = APIRouter(prefix="/auth/login/passkey", tags=["auth"])
_BODY = (400, 413, 422, NotFound, Overloaded, Unavailable)


@router.post(
    "/passkey-options",
    dependencies=[HOLDS_SECRET],
    summary="Begin to make a passkey",
    description="Options for `navigator.credentials.create()`. Takes a recent login, or else the"
    " password.",
    response_description="The options",
    responses=problems(
        *_BODY, NotAuthenticated, NotFresh, WrongPassword, Conflict, TooManyAttempts
    ),
)
async def passkey_creation_options(
    body: Reauthentication,
    principal: CurrentPrincipal,
    resources: ResourcesDep,
    origin: OriginDep,
) -> PasskeyOptions:
    """What a browser needs to make a passkey."""
    return await resources.passkeys.creation_options(principal, body.password, origin)


@router.post(
    "/passkeys",
    status_code=201,
    summary="Add a passkey",
    description="With what the browser made of the options. They are good once.",
    response_description="The passkey",
    responses=problems(*_BODY, NotAuthenticated, InvalidChallenge, PasskeyRefused, Conflict),
)
async def add_passkey(
    body: PasskeyRegister, principal: CurrentPrincipal, resources: ResourcesDep, origin: OriginDep
) -> PasskeyRead:
    """Add a passkey to the caller's account."""
    return await resources.passkeys.register(principal, body.name, body.credential, origin)


@router.get(
    "/passkeys",
    summary="List my passkeys",
    description="The newest first; at most 20.",
    response_description="The passkeys",
    responses=problems(NotAuthenticated, Overloaded, Unavailable),
)
async def read_passkeys(principal: CurrentPrincipal, resources: ResourcesDep) -> list[PasskeyRead]:
    """The caller's passkeys."""
    return await resources.passkeys.read(principal)


@router.patch(
    "/passkeys/{passkey_id}",
    summary="Rename a passkey",
    description="Only the name can be changed.",
    response_description="The passkey",
    responses=problems(*_BODY, NotAuthenticated),
)
async def rename_passkey(
    passkey_id: uuid.UUID, body: PasskeyRename, principal: CurrentPrincipal, resources: ResourcesDep
) -> PasskeyRead:
    """Give one of the caller's passkeys another name."""
    return await resources.passkeys.rename(principal, passkey_id, body.name)


@router.delete(
    "/passkeys/{passkey_id}",
    status_code=204,
    summary="Remove a passkey",
    description="Takes a recent login. Sessions that were begun with it go on.",
    response_description="Removed",
    responses=problems(422, NotAuthenticated, NotFound, NotFresh, Overloaded, Unavailable),
)
async def remove_passkey(
    passkey_id: uuid.UUID, principal: CurrentPrincipal, resources: ResourcesDep, origin: OriginDep
) -> None:
    """Remove one of the caller's passkeys."""
    await resources.passkeys.remove(principal, passkey_id, origin)


@login.post(
    "/options",
    dependencies=[HOLDS_SECRET],
    summary="Begin a login with a passkey",
    description="Options for `navigator.credentials.get()`. They name no account: the authenticator"
    " knows whose passkeys it has.",
    response_description="The options",
    responses=problems(NotFound, Overloaded, Unavailable),
)
async def passkey_login_options(resources: ResourcesDep) -> PasskeyOptions:
    """What a browser needs to ask for a passkey."""
    return await resources.passkeys.request_options()


@login.post(
    "",
    summary="Log in with a passkey",
    description="With what the browser made of the options. They are good once. No second factor is"
    " asked for, since the authenticator verified its user.",
    response_description="An access token and a refresh token, or the token beside the cookie",
    responses=problems(*_BODY, InvalidPasskey, InvalidChallenge, CrossSiteRequest),
)
async def login_passkey(
    body: PasskeyLogin, resources: ResourcesDep, origin: OriginDep, delivery: DeliveryDep
) -> TokenRead | CookieRead:
    """Exchange the answer of a passkey for a new session."""
    grant = await resources.passkeys.log_in(
        body.credential, origin, refreshable=delivery.refreshable
    )
    return await delivery.hand_over(grant)
