"""Proving by mail that an address is one's own: confirm it, or set a forgotten password."""

from fastapi import APIRouter

from fastapi_base.api.deps import OriginDep, ResourcesDep, SessionDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    InvalidLink,
    MailDisabled,
    Overloaded,
    TooManyAttempts,
    Unavailable,
    WeakPassword,
)
from fastapi_base.schemas.user import EmailGiven, LinkToken, PasswordReset, Received
from fastapi_base.services import accounts

router = APIRouter(prefix="/auth", tags=["auth"])
_SENT = Received(message="If the address has an account, a mail is on its way.")
_ASKED = problems(400, 413, 422, TooManyAttempts, MailDisabled, Overloaded, Unavailable)


@router.post(
    "/verify-email",
    status_code=202,
    summary="Ask for a link to confirm an address",
    description="Always answers the same, so that it does not tell who has an account.",
    response_description="Received",
    responses=_ASKED,
)
async def request_verification(
    body: EmailGiven, resources: ResourcesDep, origin: OriginDep
) -> Received:
    """Have a mail sent to this address."""
    await resources.accounts.ask_to_verify(body.email, origin)
    return _SENT


@router.post(
    "/verify-email/confirm",
    status_code=204,
    summary="Confirm an address",
    description="By the token of the link in the mail, once.",
    response_description="Confirmed",
    responses=problems(400, 413, 422, InvalidLink, Overloaded, Unavailable),
)
async def verify_email(body: LinkToken, session: SessionDep, origin: OriginDep) -> None:
    """Confirm the address that the token was sent to."""
    await accounts.verify(session, body.token, origin)


@router.post(
    "/password-reset",
    status_code=202,
    summary="Ask for a link to set a forgotten password",
    description="Always answers the same, so that it does not tell who has an account.",
    response_description="Received",
    responses=_ASKED,
)
async def request_password_reset(
    body: EmailGiven, resources: ResourcesDep, origin: OriginDep
) -> Received:
    """Have a mail sent to this address."""
    await resources.accounts.ask_to_reset(body.email, origin)
    return _SENT


@router.post(
    "/password-reset/confirm",
    status_code=204,
    summary="Set a forgotten password",
    description="By the token of the link in the mail, once. Ends all sessions of the account.",
    response_description="Set",
    responses=problems(400, 413, 422, InvalidLink, WeakPassword, Overloaded, Unavailable),
)
async def reset_password(body: PasswordReset, resources: ResourcesDep, origin: OriginDep) -> None:
    """Set a new password."""
    await resources.accounts.reset_password(body.token, body.new_password, origin)
