"""Passkeys: registration, login and management."""

import uuid

from fastapi import APIRouter

from fastapi_base.api.dependencies.caching import HOLDS_SECRET
from fastapi_base.api.dependencies.delivery import DeliveryDep
from fastapi_base.api.deps import CurrentPrincipal, OriginDep, ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    AccountChanged,
    Conflict,
    CrossSiteRequest,
    EmailNotVerified,
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
from fastapi_base.schemas.identity.auth import LoginResult, Reauthentication
from fastapi_base.schemas.identity.passkey import (
    PasskeyLogin,
    PasskeyOptions,
    PasskeyRead,
    PasskeyRegister,
    PasskeyRename,
)

router = APIRouter(prefix="/auth", tags=["auth"])
login = APIRouter(prefix="/auth/login/passkey", tags=["auth"])
_BODY = (NotFound, Overloaded, Unavailable)


@router.post(
    "/passkey-options",
    dependencies=[HOLDS_SECRET],
    summary="Start registering a passkey",
    description="Options for `navigator.credentials.create()`. Requires recent authentication or"
    " the password.",
    response_description="The options",
    responses=problems(
        *_BODY,
        NotAuthenticated,
        NotFresh,
        WrongPassword,
        EmailNotVerified,
        Conflict,
        TooManyAttempts,
    ),
)
async def passkey_creation_options(
    body: Reauthentication,
    principal: CurrentPrincipal,
    resources: ResourcesDep,
    origin: OriginDep,
) -> PasskeyOptions:
    """Options to create a passkey."""
    return await resources.passkeys.creation_options(principal, body.password, origin)


@router.post(
    "/passkeys",
    status_code=201,
    summary="Add a passkey",
    description="Takes the browser's response to the options, which are valid once.",
    response_description="The passkey",
    responses=problems(
        *_BODY,
        NotAuthenticated,
        InvalidChallenge,
        PasskeyRefused,
        EmailNotVerified,
        Conflict,
        AccountChanged,
    ),
)
async def add_passkey(
    body: PasskeyRegister, principal: CurrentPrincipal, resources: ResourcesDep, origin: OriginDep
) -> PasskeyRead:
    """Add a passkey to the caller's account."""
    return await resources.passkeys.register(principal, body.name, body.credential, origin)


@router.get(
    "/passkeys",
    summary="List my passkeys",
    description="Newest first; at most 20.",
    response_description="The passkeys",
    responses=problems(NotAuthenticated, Overloaded, Unavailable),
)
async def list_passkeys(principal: CurrentPrincipal, resources: ResourcesDep) -> list[PasskeyRead]:
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
    """Rename one of the caller's passkeys."""
    return await resources.passkeys.rename(principal, passkey_id, body.name)


@router.delete(
    "/passkeys/{passkey_id}",
    status_code=204,
    summary="Remove a passkey",
    description="Requires recent authentication. Sessions started with the passkey continue.",
    response_description="Removed",
    responses=problems(
        NotAuthenticated, NotFound, NotFresh, AccountChanged, Overloaded, Unavailable
    ),
)
async def remove_passkey(
    passkey_id: uuid.UUID, principal: CurrentPrincipal, resources: ResourcesDep, origin: OriginDep
) -> None:
    """Remove one of the caller's passkeys."""
    await resources.passkeys.remove(principal, passkey_id, origin)


@login.post(
    "/options",
    dependencies=[HOLDS_SECRET],
    summary="Start a login with a passkey",
    description="Options for `navigator.credentials.get()`. They name no account; the authenticator"
    " selects one of its passkeys.",
    response_description="The options",
    responses=problems(NotFound, Overloaded, Unavailable),
)
async def passkey_login_options(resources: ResourcesDep) -> PasskeyOptions:
    """Options to request a passkey."""
    return await resources.passkeys.request_options()


@login.post(
    "",
    summary="Log in with a passkey",
    description="Takes the browser's response to the options, which are valid once. No second"
    " factor is required, because the authenticator has verified the user.",
    response_description="An access token and a refresh token, or the CSRF token of the cookie",
    responses=problems(
        *_BODY, InvalidPasskey, InvalidChallenge, EmailNotVerified, CrossSiteRequest
    ),
)
async def login_passkey(
    body: PasskeyLogin, resources: ResourcesDep, origin: OriginDep, delivery: DeliveryDep
) -> LoginResult:
    """Exchange the response of a passkey for a new session."""
    grant = await resources.passkeys.log_in(
        body.credential, origin, refreshable=delivery.refreshable
    )
    return await delivery.hand_over(grant)
