"""Single-use tokens sent by mail, each for one purpose and one address of the account."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import InvalidLink
from fastapi_base.core.security.opaque import digest, new_token
from fastapi_base.models.identity.email_change import EmailChange  # slice: email-change
from fastapi_base.models.identity.one_time_token import OneTimeToken
from fastapi_base.models.identity.user import User
from fastapi_base.services.identity import users

PREFIX = "ot"


class Purpose(StrEnum):
    """The only purpose that a token is valid for."""

    VERIFY = "verify-email"
    RESET = "reset-password"
    CHANGE_OLD = "change-email-old"  # slice: email-change
    CHANGE_NEW = "change-email-new"  # slice: email-change


async def issue(
    session: AsyncSession, user_id: uuid.UUID, purpose: Purpose, email: str, life: timedelta
) -> str:
    """Issue a token, replacing earlier ones for the same purpose."""
    # One at a time per account: of two issued concurrently, the first is void.
    await users.lock(session, user_id)
    await session.exec(
        delete(OneTimeToken).where(
            col(OneTimeToken.user_id) == user_id, col(OneTimeToken.purpose) == purpose
        )
    )
    token = new_token(PREFIX)
    # The database's clock: another process redeems the token.
    now = func.statement_timestamp()
    await session.exec(
        insert(OneTimeToken).values(
            digest=token.digest,
            user_id=user_id,
            purpose=purpose,
            email=email,
            created_at=now,
            expires_at=now + life,
        )
    )
    return token.value


@dataclass(frozen=True, slots=True)
class Link:
    """A valid token's account and purpose, and the address that it was sent to."""

    user_id: uuid.UUID
    purpose: Purpose
    email: str


async def look(connection: AsyncConnection, token: str, *purposes: Purpose) -> Link:
    """The link of a valid token for one of these purposes, not consumed. Raises InvalidLink."""
    columns = (col(OneTimeToken.user_id), col(OneTimeToken.email))
    for purpose in purposes:
        statement = select(*columns).where(*_good(token, purpose))
        if row := (await connection.execute(statement)).first():
            return Link(row.user_id, purpose, row.email)
    raise InvalidLink


async def use(session: AsyncSession, token: str, purpose: Purpose) -> Link:
    """Like `look`, and consume the token in this transaction.

    Exactly one of concurrent uses succeeds. The account is locked first, so that the token is
    judged against the account's current state.
    """
    link = await look(await session.connection(), token, purpose)
    await users.lock(session, link.user_id)
    statement = (
        delete(OneTimeToken).where(*_good(token, purpose)).returning(col(OneTimeToken.user_id))
    )
    if await session.scalar(statement) is None:
        raise InvalidLink
    return link


async def void(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Void all tokens of an account, for example if somebody else may have requested them.

    This also cancels a pending change of address.
    """
    await session.exec(delete(OneTimeToken).where(col(OneTimeToken.user_id) == user_id))
    # begin slice: email-change
    await session.exec(delete(EmailChange).where(col(EmailChange.user_id) == user_id))
    # end slice: email-change


def _good(token: str, purpose: Purpose) -> tuple[ColumnElement[bool], ...]:
    owner = select(col(User.id)).where(
        col(User.id) == col(OneTimeToken.user_id), users.may_log_in()
    )
    address = col(User.email) == col(OneTimeToken.email)
    # begin slice: email-change
    if purpose == Purpose.CHANGE_NEW:
        address = and_(
            col(EmailChange.user_id) == col(User.id),
            col(EmailChange.old_email) == col(User.email),
            col(EmailChange.new_email) == col(OneTimeToken.email),
        )
    # end slice: email-change
    owner = owner.where(address)
    return (
        col(OneTimeToken.digest) == digest(token),
        col(OneTimeToken.purpose) == purpose,
        col(OneTimeToken.expires_at) > func.statement_timestamp(),
        owner.exists(),
    )
