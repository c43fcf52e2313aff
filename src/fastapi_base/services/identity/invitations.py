"""Invitations: who may register where not everybody may."""

import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.caller import Origin
from fastapi_base.core.errors import EmailTaken, InvalidLink, NotFound
from fastapi_base.core.ids import uuid7
from fastapi_base.core.opaque import digest, new_token
from fastapi_base.models.invitation import Invitation
from fastapi_base.models.user import User
from fastapi_base.schemas.invitation import InvitationRead
from fastapi_base.services import audit
from fastapi_base.services.audit import Action

PREFIX = "inv"
LIST_LIMIT = 100
_READ = select(
    col(Invitation.id),
    col(Invitation.email),
    col(Invitation.created_at),
    col(Invitation.expires_at),
)


async def invite(
    session: AsyncSession, email: str, days: int, actor: uuid.UUID, origin: Origin
) -> InvitationRead:
    """An open invitation for this address, in place of an earlier one. Its mail is still to be
    asked for.

    Raises EmailTaken: superusers may know who has an account. An account whose address was never
    confirmed does not count, since anybody can make one.
    """
    taken = exists().where(col(User.email) == email, col(User.email_verified_at).is_not(None))
    if await session.scalar(select(taken)):
        raise EmailTaken
    now = datetime.now(UTC)
    earlier = (col(Invitation.email) == email, *_open())
    await session.exec(update(Invitation).where(*earlier).values(revoked_at=now))
    row = {
        "id": uuid7(),
        "email": email,
        "created_at": now,
        "expires_at": now + timedelta(days=days),
    }
    await session.exec(insert(Invitation).values(**row, invited_by=actor))
    await audit.record(session, Action.INVITED, origin, actor=actor, invitation=str(row["id"]))
    return InvitationRead.model_validate(row)


async def listed(connection: AsyncConnection) -> list[InvitationRead]:
    """Those that can be accepted, the newest first; at most LIST_LIMIT."""
    statement = _READ.where(*_good()).order_by(col(Invitation.id).desc()).limit(LIST_LIMIT)
    rows = (await connection.execute(statement)).mappings()
    return [InvitationRead.model_validate(row) for row in rows]


async def revoke(
    session: AsyncSession, invitation_id: uuid.UUID, actor: uuid.UUID, origin: Origin
) -> None:
    """Take an open invitation back. Raises NotFound."""
    statement = (
        update(Invitation)
        .where(col(Invitation.id) == invitation_id, *_open())
        .values(revoked_at=datetime.now(UTC))
        .returning(col(Invitation.id))
    )
    if await session.scalar(statement) is None:
        raise NotFound("There is no such open invitation")
    await audit.record(
        session, Action.INVITATION_REVOKED, origin, actor=actor, invitation=str(invitation_id)
    )


async def new_link(session: AsyncSession, invitation_id: uuid.UUID) -> tuple[str, str] | None:
    """Address and token for the mail of an open invitation, or None. Earlier tokens are void."""
    token = new_token(PREFIX)
    statement = (
        update(Invitation)
        .where(col(Invitation.id) == invitation_id, *_good())
        .values(digest=token.digest)
        .returning(col(Invitation.email))
    )
    email: str | None = await session.scalar(statement)
    return (email, token.value) if email else None


async def check(connection: AsyncConnection, token: str, email: str) -> None:
    """Raise InvalidLink unless this token invites this address."""
    if (await connection.execute(_READ.where(*_invites(token, email)))).first() is None:
        raise InvalidLink


async def accept(session: AsyncSession, token: str, email: str) -> None:
    """Use an invitation. Raises InvalidLink; of uses at the same moment exactly one does not."""
    statement = (
        update(Invitation)
        .where(*_invites(token, email))
        .values(accepted_at=datetime.now(UTC))
        .returning(col(Invitation.id))
    )
    if await session.scalar(statement) is None:
        raise InvalidLink


def _open() -> tuple[ColumnElement[bool], ...]:
    return col(Invitation.accepted_at).is_(None), col(Invitation.revoked_at).is_(None)


def _good() -> tuple[ColumnElement[bool], ...]:
    return *_open(), col(Invitation.expires_at) > datetime.now(UTC)


def _invites(token: str, email: str) -> tuple[ColumnElement[bool], ...]:
    return col(Invitation.digest) == digest(token), col(Invitation.email) == email, *_good()
