"""Invitations: who may register if registration is restricted."""

import uuid
from datetime import timedelta

from sqlalchemy import ColumnElement, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import EmailTaken, InvalidLink, NotFound
from fastapi_base.core.ids import uuid7
from fastapi_base.core.security.caller import Origin
from fastapi_base.core.security.opaque import digest, new_token
from fastapi_base.models.identity.invitation import Invitation
from fastapi_base.models.identity.user import User
from fastapi_base.schemas.identity.invitation import InvitationRead
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action

PREFIX = "inv"
LIST_LIMIT = 100
# One clock for all processes: another one later checks the invitation.
_NOW = func.statement_timestamp()
_READ = select(
    col(Invitation.id),
    col(Invitation.email),
    col(Invitation.created_at),
    col(Invitation.expires_at),
)


async def invite(
    session: AsyncSession, email: str, days: int, actor: uuid.UUID, origin: Origin
) -> InvitationRead:
    """Create an open invitation for this address, replacing an earlier one.

    The caller requests its mail. Raises EmailTaken: superusers may know who has an account. An
    unverified account does not count, because anybody can create one.
    """
    taken = exists().where(col(User.email) == email, col(User.email_verified_at).is_not(None))
    if await session.scalar(select(taken)):
        raise EmailTaken
    earlier = (col(Invitation.email) == email, *_open())
    await session.exec(update(Invitation).where(*earlier).values(revoked_at=_NOW))
    statement = (
        insert(Invitation)
        .values(
            id=uuid7(),
            email=email,
            created_at=_NOW,
            expires_at=_NOW + timedelta(days=days),
            invited_by=actor,
        )
        .returning(*_READ.selected_columns)
    )
    made = InvitationRead.model_validate((await session.exec(statement)).mappings().one())
    await audit.record(session, Action.INVITED, origin, actor=actor, invitation=str(made.id))
    return made


async def listed(connection: AsyncConnection) -> list[InvitationRead]:
    """Open invitations, newest first; at most LIST_LIMIT."""
    # Those that expire last, from the index of open ones.
    last = _READ.where(*_good()).order_by(col(Invitation.expires_at).desc()).limit(LIST_LIMIT)
    good = last.subquery("good")
    rows = (await connection.execute(select(good).order_by(good.c.id.desc()))).mappings()
    return [InvitationRead.model_validate(row) for row in rows]


async def revoke(
    session: AsyncSession, invitation_id: uuid.UUID, actor: uuid.UUID, origin: Origin
) -> None:
    """Revoke an open invitation. Raises NotFound."""
    statement = (
        update(Invitation)
        .where(col(Invitation.id) == invitation_id, *_open())
        .values(revoked_at=_NOW)
        .returning(col(Invitation.id))
    )
    if await session.scalar(statement) is None:
        raise NotFound("The invitation does not exist or is not open")
    await audit.record(
        session, Action.INVITATION_REVOKED, origin, actor=actor, invitation=str(invitation_id)
    )


async def new_link(session: AsyncSession, invitation_id: uuid.UUID) -> tuple[str, str] | None:
    """Address and new token for the mail of an open invitation, or None. Voids earlier tokens."""
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
    """Consume an invitation. Raises InvalidLink; exactly one of concurrent uses succeeds."""
    statement = (
        update(Invitation)
        .where(*_invites(token, email))
        .values(accepted_at=_NOW)
        .returning(col(Invitation.id))
    )
    if await session.scalar(statement) is None:
        raise InvalidLink


async def accept_for(session: AsyncSession, email: str) -> bool:
    """Consume the invitation of an address verified otherwise. Returns whether there was one."""
    statement = (
        update(Invitation)
        .where(col(Invitation.email) == email, *_good())
        .values(accepted_at=_NOW)
        .returning(col(Invitation.id))
    )
    return await session.scalar(statement) is not None


def _open() -> tuple[ColumnElement[bool], ...]:
    return col(Invitation.accepted_at).is_(None), col(Invitation.revoked_at).is_(None)


def _good() -> tuple[ColumnElement[bool], ...]:
    return *_open(), col(Invitation.expires_at) > _NOW


def _invites(token: str, email: str) -> tuple[ColumnElement[bool], ...]:
    return col(Invitation.digest) == digest(token), col(Invitation.email) == email, *_good()
