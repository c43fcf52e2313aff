"""Invitations, for superusers."""

import uuid

from fastapi import APIRouter

from fastapi_base.api.deps import CurrentSuperuser, OriginDep, ResourcesDep, SessionDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    Conflict,
    EmailTaken,
    Forbidden,
    MailDisabled,
    NotAuthenticated,
    NotFound,
    Overloaded,
    RegistrationClosed,
    Unavailable,
)
from fastapi_base.schemas.identity.invitation import InvitationCreate, InvitationRead
from fastapi_base.services.identity import invitations

router = APIRouter(prefix="/invitations", tags=["invitations"])


@router.post(
    "",
    status_code=201,
    summary="Invite an e-mail address",
    description="Sends a registration link. It replaces an earlier invitation of the address.",
    response_description="The invitation",
    responses=problems(
        NotAuthenticated,
        Forbidden,
        RegistrationClosed,
        Conflict,
        EmailTaken,
        MailDisabled,
        Overloaded,
        Unavailable,
    ),
)
async def create_invitation(
    body: InvitationCreate, user: CurrentSuperuser, resources: ResourcesDep, origin: OriginDep
) -> InvitationRead:
    """Invite an e-mail address."""
    return await resources.accounts.invite(body.email, user.id, origin)


@router.get(
    "",
    summary="List invitations",
    description="Open invitations, newest first; at most 100.",
    response_description="The invitations",
    responses=problems(NotAuthenticated, Forbidden, Overloaded, Unavailable),
)
async def list_invitations(_: CurrentSuperuser, resources: ResourcesDep) -> list[InvitationRead]:
    """Open invitations."""
    async with resources.database.read() as connection:
        return await invitations.listed(connection)


@router.delete(
    "/{invitation_id}",
    status_code=204,
    summary="Revoke an invitation",
    description="Its link is no longer accepted.",
    response_description="Revoked",
    responses=problems(NotAuthenticated, Forbidden, NotFound, Overloaded, Unavailable),
)
async def delete_invitation(
    invitation_id: uuid.UUID, user: CurrentSuperuser, session: SessionDep, origin: OriginDep
) -> None:
    """Revoke an open invitation."""
    await invitations.revoke(session, invitation_id, user.id, origin)
