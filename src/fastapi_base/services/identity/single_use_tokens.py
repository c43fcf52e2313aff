"""Tokens that go out by mail: good once, for one purpose, while the address is the account's."""

import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import InvalidLink
from fastapi_base.core.opaque import digest, new_token
from fastapi_base.models.email_change import EmailChange
from fastapi_base.models.one_time_token import OneTimeToken
from fastapi_base.models.user import User
from fastapi_base.services import users

PREFIX = "ot"


class Purpose(StrEnum):
    """What a token is good for, and nothing else."""

    VERIFY = "verify-email"
    RESET = "reset-password"
    CHANGE_OLD = "change-email-old"
    CHANGE_NEW = "change-email-new"


async def issue(
    session: AsyncSession, user_id: uuid.UUID, purpose: Purpose, email: str, life: timedelta
) -> str:
    """A token in place of earlier ones for the same purpose."""
    await session.exec(
        delete(OneTimeToken).where(
            col(OneTimeToken.user_id) == user_id, col(OneTimeToken.purpose) == purpose
        )
    )
    token = new_token(PREFIX)
    now = datetime.now(UTC)
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


async def address(connection: AsyncConnection, token: str, purpose: Purpose) -> str:
    """The address that a good token was sent to. Raises InvalidLink. Does not use it."""
    statement = select(col(OneTimeToken.email)).where(*_good(token, purpose))
    found: str | None = await connection.scalar(statement)
    if found is None:
        raise InvalidLink
    return found


async def use(session: AsyncSession, token: str, purpose: Purpose) -> uuid.UUID:
    """Whose token it is. Raises InvalidLink.

    The token goes with this transaction: of uses at the same moment exactly one finds it.
    """
    statement = (
        delete(OneTimeToken).where(*_good(token, purpose)).returning(col(OneTimeToken.user_id))
    )
    user_id: uuid.UUID | None = await session.scalar(statement)
    if user_id is None:
        raise InvalidLink
    return user_id


async def use_any(
    session: AsyncSession, token: str, purposes: Iterable[Purpose]
) -> tuple[uuid.UUID, Purpose]:
    """As `use`, for a token of one of these purposes; whose it is, and for which."""
    for purpose in purposes:
        with suppress(InvalidLink):
            return await use(session, token, purpose), purpose
    raise InvalidLink


async def void(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Take an account's tokens back, as when somebody else may have asked for them.

    A change of address that waits for tokens goes with them.
    """
    await session.exec(delete(OneTimeToken).where(col(OneTimeToken.user_id) == user_id))
    await session.exec(delete(EmailChange).where(col(EmailChange.user_id) == user_id))


def _good(token: str, purpose: Purpose) -> tuple[ColumnElement[bool], ...]:
    owner = select(col(User.id)).where(
        col(User.id) == col(OneTimeToken.user_id), users.may_log_in()
    )
    if purpose == Purpose.CHANGE_NEW:
        owner = owner.where(
            col(EmailChange.user_id) == col(User.id),
            col(EmailChange.old_email) == col(User.email),
            col(EmailChange.new_email) == col(OneTimeToken.email),
        )
    else:
        owner = owner.where(col(User.email) == col(OneTimeToken.email))
    return (
        col(OneTimeToken.digest) == digest(token),
        col(OneTimeToken.purpose) == purpose,
        col(OneTimeToken.expires_at) > datetime.now(UTC),
        owner.exists(),
    )
