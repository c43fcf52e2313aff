"""The TOTP second factor of the caller's account."""

from fastapi import APIRouter

from fastapi_base.api.dependencies.caching import HOLDS_SECRET
from fastapi_base.api.deps import CurrentPrincipal, OriginDep, ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    AccountChanged,
    EmailNotVerified,
    FactorExists,
    NoFactor,
    NotAuthenticated,
    Overloaded,
    TooManyAttempts,
    Unavailable,
    WrongCode,
    WrongPassword,
)
from fastapi_base.schemas.identity.second_factor import (
    FactorChange,
    RecoveryCodesRead,
    TotpConfirm,
    TotpEnrol,
    TotpRead,
    TotpSecret,
)

router = APIRouter(prefix="/auth/totp", tags=["auth"])
_GUARDED = (NotAuthenticated, TooManyAttempts, Overloaded, Unavailable)


@router.get(
    "",
    summary="Read the state of my second factor",
    description="Also returns the number of remaining recovery codes.",
    response_description="The state",
    responses=problems(NotAuthenticated, Overloaded, Unavailable),
)
async def read_totp(principal: CurrentPrincipal, resources: ResourcesDep) -> TotpRead:
    """The state of the second factor."""
    return await resources.second_factor.read(principal)


@router.post(
    "",
    dependencies=[HOLDS_SECRET],
    status_code=201,
    summary="Start setting up a second factor",
    description="Returns a secret for an authenticator application (RFC 6238: SHA-1, 6 digits, 30"
    " seconds). It takes effect when confirmed with a code; until then a new request replaces it.",
    response_description="The secret, shown once",
    responses=problems(*_GUARDED, WrongPassword, EmailNotVerified, FactorExists, AccountChanged),
)
async def enrol_totp(
    body: TotpEnrol,
    principal: CurrentPrincipal,
    resources: ResourcesDep,
    origin: OriginDep,
) -> TotpSecret:
    """A secret that awaits its first code."""
    return await resources.second_factor.enrol(principal, body.password, origin)


@router.post(
    "/confirm",
    dependencies=[HOLDS_SECRET],
    summary="Enable the second factor",
    description="Takes the first code of the application. Password logins then require a code.",
    response_description="Recovery codes, shown once",
    responses=problems(*_GUARDED, WrongCode, EmailNotVerified, FactorExists, NoFactor),
)
async def confirm_totp(
    body: TotpConfirm,
    principal: CurrentPrincipal,
    resources: ResourcesDep,
    origin: OriginDep,
) -> RecoveryCodesRead:
    """Enable the secret."""
    return await resources.second_factor.confirm(principal, body.code, origin)


@router.post(
    "/recovery-codes",
    dependencies=[HOLDS_SECRET],
    summary="Replace my recovery codes",
    description="Invalidates the previous codes.",
    response_description="Recovery codes, shown once",
    responses=problems(
        *_GUARDED, WrongPassword, WrongCode, EmailNotVerified, NoFactor, AccountChanged
    ),
)
async def replace_recovery_codes(
    body: FactorChange,
    principal: CurrentPrincipal,
    resources: ResourcesDep,
    origin: OriginDep,
) -> RecoveryCodesRead:
    """New recovery codes."""
    return await resources.second_factor.replace_recovery_codes(
        principal, body.password, body, origin
    )


@router.post(
    "/disable",
    status_code=204,
    summary="Disable the second factor",
    description="Requires the password, and a code or a recovery code.",
    response_description="Disabled",
    responses=problems(*_GUARDED, WrongPassword, WrongCode, NoFactor, AccountChanged),
)
async def disable_totp(
    body: FactorChange, principal: CurrentPrincipal, resources: ResourcesDep, origin: OriginDep
) -> None:
    """Remove the second factor."""
    await resources.second_factor.disable(principal, body.password, body, origin)
