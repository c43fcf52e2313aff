"""Changing the caller's address."""

from fastapi import APIRouter

from fastapi_base.api.deps import CurrentPrincipal, OriginDep, ResourcesDep, SessionDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    Conflict,
    EmailTaken,
    InvalidLink,
    MailDisabled,
    NotAuthenticated,
    NotFound,
    Overloaded,
    TooManyAttempts,
    Unavailable,
    WrongPassword,
)
from fastapi_base.schemas.email_change import (
    EmailChangeConfirmed,
    EmailChangeRead,
    EmailChangeRequest,
)
from fastapi_base.schemas.user import LinkToken, Received
from fastapi_base.services import email_change

router = APIRouter(tags=["users"])
_PATH = "/users/me/email-change"


@router.post(
    _PATH,
    status_code=202,
    summary="Change my address",
    description="Sends a link to the old and to the new address. The address changes when both were"
    " confirmed. Replaces a change that was begun before. Always answers the same, so that it does"
    " not tell who has an account.",
    response_description="Received",
    responses=problems(
        400,
        413,
        422,
        NotAuthenticated,
        WrongPassword,
        Conflict,
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
    """Begin to change the caller's address."""
    await resources.email_change.begin(
        principal, password=body.current_password, new_email=body.new_email, origin=origin
    )
    return Received(message="Follow the links in the mails to both addresses.")


@router.get(
    _PATH,
    summary="Is my address changing",
    description="The change that waits for a confirmation.",
    response_description="The change",
    responses=problems(NotAuthenticated, NotFound, Overloaded, Unavailable),
)
async def read_email_change(
    principal: CurrentPrincipal, resources: ResourcesDep
) -> EmailChangeRead:
    """The caller's change that waits."""
    async with resources.database.read() as connection:
        return await email_change.pending(connection, principal.user.id)


@router.delete(
    _PATH,
    status_code=204,
    summary="Keep my address",
    description="Ends the change; its links are refused from now on.",
    response_description="Ended",
    responses=problems(NotAuthenticated, NotFound, Overloaded, Unavailable),
)
async def cancel_email_change(
    principal: CurrentPrincipal, resources: ResourcesDep, session: SessionDep, origin: OriginDep
) -> None:
    """Forget the caller's change."""
    await resources.email_change.cancel(session, principal.user.id, origin)


@router.post(
    "/auth/email-change/confirm",
    summary="Confirm a change of address",
    description="By the token of the link in the mail to the old or to the new address.",
    response_description="Whether the address changed",
    responses=problems(400, 413, 422, InvalidLink, EmailTaken, Overloaded, Unavailable),
)
async def confirm_email_change(
    body: LinkToken, resources: ResourcesDep, origin: OriginDep
) -> EmailChangeConfirmed:
    """Confirm one side of a change."""
    changed = await resources.email_change.confirm(body.token, origin)
    return EmailChangeConfirmed(status="changed" if changed else "waiting")
