"""The second factor of the caller's account."""

from fastapi import APIRouter

from fastapi_base.api.caching import HOLDS_SECRET
from fastapi_base.api.deps import CurrentPrincipal, OriginDep, ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    FactorExists,
    NoFactor,
    NotAuthenticated,
    Overloaded,
    TooManyAttempts,
    Unavailable,
    WrongCode,
    WrongPassword,
)
from fastapi_base.schemas.second_factor import (
    FactorChange,
    RecoveryCodesRead,
    TotpConfirm,
    TotpEnrol,
    TotpRead,
    TotpSecret,
)

router = APIRouter(prefix="/auth/totp", tags=["auth"])
_GUARDED = (400, 413, 422, NotAuthenticated, TooManyAttempts, Overloaded, Unavailable)


@router.get(
    "",
    summary="Does my account have a second factor?",
    description="And how many recovery codes are left.",
    response_description="The state",
    responses=problems(NotAuthenticated, Overloaded, Unavailable),
)
async def read_totp(principal: CurrentPrincipal, resources: ResourcesDep) -> TotpRead:
    """How far the second factor is."""
    return await resources.second_factor.read(principal)


@router.post(
    "",
    dependencies=[HOLDS_SECRET],
    status_code=201,
    summary="Begin to set up a second factor",
    description="Gives a secret for an authenticator application (RFC 6238: SHA-1, 6 digits, 30"
    " seconds). It counts once it was confirmed with a code; asking again replaces it until then.",
    response_description="The secret, shown once",
    responses=problems(*_GUARDED, WrongPassword, FactorExists),
)
async def enrol_totp(
    body: TotpEnrol,
    principal: CurrentPrincipal,
    resources: ResourcesDep,
    origin: OriginDep,
) -> TotpSecret:
    """A secret that waits for its first code."""
    return await resources.second_factor.enrol(principal, body.password, origin)


@router.post(
    "/confirm",
    dependencies=[HOLDS_SECRET],
    summary="Switch the second factor on",
    description="With the first code of the application. From now on, logins with the password ask"
    " for a code.",
    response_description="Recovery codes, shown once",
    responses=problems(*_GUARDED, WrongCode, FactorExists, NoFactor),
)
async def confirm_totp(
    body: TotpConfirm,
    principal: CurrentPrincipal,
    resources: ResourcesDep,
    origin: OriginDep,
) -> RecoveryCodesRead:
    """Make the secret count."""
    return await resources.second_factor.confirm(principal, body.code, origin)


@router.post(
    "/recovery-codes",
    dependencies=[HOLDS_SECRET],
    summary="Replace my recovery codes",
    description="Those from before are void.",
    response_description="Recovery codes, shown once",
    responses=problems(*_GUARDED, WrongPassword, WrongCode, NoFactor),
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
    summary="Switch the second factor off",
    description="Takes the password, and a code or a recovery code.",
    response_description="Switched off",
    responses=problems(*_GUARDED, WrongPassword, WrongCode, NoFactor),
)
async def disable_totp(
    body: FactorChange, principal: CurrentPrincipal, resources: ResourcesDep, origin: OriginDep
) -> None:
    """Take the factor away."""
    await resources.second_factor.disable(principal, body.password, body, origin)
