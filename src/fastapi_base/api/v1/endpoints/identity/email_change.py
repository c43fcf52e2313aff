"""Changing the caller's e-mail address."""

from fastapi import APIRouter

from fastapi_base.api.deps import (
    CurrentPrincipal,
    MaybePrincipal,
    OriginDep,
    ResourcesDep,
    SessionDep,
)
from fastapi_base.api.openapi import SESSION_OR_NONE, problems
from fastapi_base.core.errors import (
    AccountChanged,
    Conflict,
    EmailNotVerified,
    EmailTaken,
    InvalidLink,
    MailDisabled,
    NotAuthenticated,
    NotFound,
    Overloaded,
    PasswordNeeded,
    TooManyAttempts,
    Unavailable,
    WrongPassword,
)
from fastapi_base.schemas.identity.email_change import (
    EmailChangeConfirmed,
    EmailChangeRead,
    EmailChangeRequest,
)
from fastapi_base.schemas.identity.user import HeldLinkToken, Received
from fastapi_base.services.identity import email_change

router = APIRouter(tags=["users"])
_PATH = "/users/me/email-change"


@router.post(
    _PATH,
    status_code=202,
    summary="Change my e-mail address",
    description="Sends a link to the old and to the new address. The change takes effect when both"
    " are verified. It replaces an earlier pending change. The response is always the same, which"
    " prevents account enumeration.",
    response_description="Received",
    responses=problems(
        NotAuthenticated,
        WrongPassword,
        EmailNotVerified,
        Conflict,
        AccountChanged,
        TooManyAttempts,
        MailDisabled,
        Overloaded,
        Unavailable,
    ),
)
async def begin_email_change(
    body: EmailChangeRequest,
    principal: CurrentPrincipal,
    resources: ResourcesDep,
    origin: OriginDep,
) -> Received:
    """Start a change of the caller's address."""
    await resources.email_change.begin(
        principal, password=body.current_password, new_email=body.new_email, origin=origin
    )
    return Received(message="Follow the links in the mails to both addresses.")


@router.get(
    _PATH,
    summary="Read my pending change of address",
    description="The change that awaits verification of an address.",
    response_description="The change",
    responses=problems(NotAuthenticated, NotFound, Overloaded, Unavailable),
)
async def read_email_change(
    principal: CurrentPrincipal, resources: ResourcesDep
) -> EmailChangeRead:
    """The caller's pending change."""
    async with resources.database.read() as connection:
        return await email_change.pending(connection, principal.user.id)


@router.delete(
    _PATH,
    status_code=204,
    summary="Cancel my change of address",
    description="Cancels the pending change; its links are no longer accepted.",
    response_description="Cancelled",
    responses=problems(NotAuthenticated, NotFound, Overloaded, Unavailable),
)
async def cancel_email_change(
    principal: CurrentPrincipal, resources: ResourcesDep, session: SessionDep, origin: OriginDep
) -> None:
    """Cancel the caller's pending change."""
    await resources.email_change.cancel(session, principal.user.id, origin)


@router.post(
    "/auth/email-change/confirm",
    summary="Confirm a change of address",
    description="Takes the token of the link sent to the old or the new address. Verifying the new"
    " address also requires a session of the account or its password, so that its owner cannot be"
    " tricked into verifying it for somebody else's account.",
    response_description="Whether the address changed",
    openapi_extra=SESSION_OR_NONE,
    responses=problems(
        InvalidLink,
        NotAuthenticated,
        PasswordNeeded,
        WrongPassword,
        TooManyAttempts,
        EmailTaken,
        Overloaded,
        Unavailable,
    ),
)
async def confirm_email_change(
    body: HeldLinkToken, principal: MaybePrincipal, resources: ResourcesDep, origin: OriginDep
) -> EmailChangeConfirmed:
    """Confirm one side of a change."""
    changed = await resources.email_change.confirm(body.token, body.password, principal, origin)
    return EmailChangeConfirmed(status="changed" if changed else "waiting")
