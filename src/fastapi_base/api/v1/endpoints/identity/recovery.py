"""Verification of e-mail addresses and password reset by mail."""

from fastapi import APIRouter

from fastapi_base.api.deps import MaybePrincipal, OriginDep, ResourcesDep
from fastapi_base.api.openapi import SESSION_OR_NONE, problems
from fastapi_base.core.errors import (
    InvalidLink,
    MailDisabled,
    NotAuthenticated,
    Overloaded,
    PasswordNeeded,
    TooManyAttempts,
    Unavailable,
    WeakPassword,
    WrongPassword,
)
from fastapi_base.schemas.identity.user import EmailGiven, HeldLinkToken, PasswordReset, Received
from fastapi_base.services.identity import ownership

router = APIRouter(prefix="/auth", tags=["auth"])
_SENT = Received(message="If the address has an account, a message has been sent.")
_ASKED = problems(TooManyAttempts, MailDisabled, Overloaded, Unavailable)


@router.post(
    "/verify-email",
    status_code=202,
    summary="Request a link to verify an e-mail address",
    description="The response is always the same, which prevents account enumeration.",
    response_description="Received",
    responses=_ASKED,
)
async def request_verification(
    body: EmailGiven, resources: ResourcesDep, origin: OriginDep
) -> Received:
    """Send a mail to this address."""
    await resources.accounts.ask_to_verify(body.email, origin)
    return _SENT


@router.post(
    "/verify-email/confirm",
    status_code=204,
    summary="Verify an e-mail address",
    description="Takes the single-use token of the link, and a session of the account or its"
    " password. If somebody else registered the account with your address, reset the password"
    " instead, which removes their credentials.",
    response_description="Verified",
    openapi_extra=SESSION_OR_NONE,
    responses=problems(
        InvalidLink,
        NotAuthenticated,
        PasswordNeeded,
        WrongPassword,
        TooManyAttempts,
        Overloaded,
        Unavailable,
    ),
)
async def verify_email(
    body: HeldLinkToken, principal: MaybePrincipal, resources: ResourcesDep, origin: OriginDep
) -> None:
    """Verify the address that the token was sent to."""
    await ownership.verify(resources.auth, body.token, body.password, principal, origin)


@router.post(
    "/password-reset",
    status_code=202,
    summary="Request a link to reset a password",
    description="The response is always the same, which prevents account enumeration.",
    response_description="Received",
    responses=_ASKED,
)
async def request_password_reset(
    body: EmailGiven, resources: ResourcesDep, origin: OriginDep
) -> Received:
    """Send a mail to this address."""
    await resources.accounts.ask_to_reset(body.email, origin)
    return _SENT


@router.post(
    "/password-reset/confirm",
    status_code=204,
    summary="Reset a password",
    description="Takes the single-use token of the link. Ends all sessions of the account. If its"
    " address was unverified, API keys, passkeys, the second factor and links to providers are also"
    " removed, because somebody else may have set them up.",
    response_description="Reset",
    responses=problems(InvalidLink, WeakPassword, Overloaded, Unavailable),
)
async def reset_password(body: PasswordReset, resources: ResourcesDep, origin: OriginDep) -> None:
    """Set a new password."""
    await resources.accounts.reset_password(body.token, body.new_password, origin)
