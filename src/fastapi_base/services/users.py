"""Accounts."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Uuid, any_, bindparam, delete, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.ids import uuid7
from fastapi_base.core.security import Claims
from fastapi_base.models.session import LoginSession
from fastapi_base.models.user import UNIQUE_EMAIL, User
from fastapi_base.schemas.user import UserRead
from fastapi_base.utils.statements import Runs, Statement

READ = select(
    col(User.id),
    col(User.email),
    col(User.email_verified_at).is_not(None).label("is_verified"),
    col(User.display_name),
    col(User.is_active),
    col(User.is_superuser),
    col(User.created_at),
    col(User.updated_at),
)

_IN_SESSIONS = Statement(
    READ.add_columns(col(LoginSession.id).label("session_id"))
    .join(LoginSession, col(LoginSession.user_id) == col(User.id))
    .where(
        col(LoginSession.id) == any_(bindparam("sessions", type_=ARRAY(Uuid))),
        col(LoginSession.revoked_at).is_(None),
        col(LoginSession.expires_at) > bindparam("now"),
    )
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a login is checked against. `is_active`: it may log in, see `may_log_in`."""

    id: uuid.UUID
    email: str
    password_hash: str
    is_active: bool
    is_verified: bool


async def add(
    session: AsyncSession,
    *,
    email: str,
    password_hash: str,
    is_superuser: bool = False,
    is_verified: bool = False,
) -> uuid.UUID | None:
    """Add an account unless the address has one. Its id, when it was added.

    One statement in both cases, so that neither time nor error tells them apart.
    """
    statement = (
        insert(User)
        .values(
            id=uuid7(),
            email=email,
            password_hash=password_hash,
            is_superuser=is_superuser,
            email_verified_at=datetime.now(UTC) if is_verified else None,
        )
        .on_conflict_do_nothing(constraint=UNIQUE_EMAIL)
        .returning(col(User.id))
    )
    return await session.scalar(statement)


async def drop_unconfirmed(session: AsyncSession, email: str) -> None:
    """Remove the account with this address, if nobody ever proved that the address is theirs."""
    await session.exec(
        delete(User).where(
            col(User.email) == email,
            col(User.email_verified_at).is_(None),
            col(User.is_superuser).is_(False),
        )
    )


def may_log_in() -> ColumnElement[bool]:
    """Whether an account is active, or was deactivated by its owner, which a login takes back."""
    return or_(col(User.is_active), col(User.deactivated_at).is_not(None))


async def reactivate(session: AsyncSession, user_id: uuid.UUID) -> bool:
    """Take back what the owner did to end the account. Whether there was anything to take back."""
    statement = (
        update(User)
        .where(col(User.id) == user_id, col(User.deactivated_at).is_not(None))
        .values(is_active=True, deactivated_at=None, delete_after=None)
        .returning(col(User.id))
    )
    return await session.scalar(statement) is not None


async def take_over(session: AsyncSession, user_id: uuid.UUID) -> bool:
    """Forget that the owner ended the account, which stays inactive. Whether that was so."""
    statement = (
        update(User)
        .where(col(User.id) == user_id, col(User.deactivated_at).is_not(None))
        .values(deactivated_at=None, delete_after=None)
        .returning(col(User.id))
    )
    return await session.scalar(statement) is not None


async def in_sessions(
    database: Runs, asked: Iterable[Claims], now: datetime
) -> dict[Claims, UserRead]:
    """The accounts of those claims whose session is the account's own and goes on."""
    values = {"sessions": list({claims.session_id for claims in asked}), "now": now}
    return {
        Claims(row["id"], row["session_id"]): UserRead.model_validate(row)
        for row in await database.run(_IN_SESSIONS, values)
    }


async def credentials(
    connection: AsyncConnection, *, email: str | None = None, user_id: uuid.UUID | None = None
) -> Credentials | None:
    """What a login is checked against, by (normalised) address or by id."""
    key = col(User.email) == email if email else col(User.id) == user_id
    statement = select(
        col(User.id),
        col(User.email),
        col(User.password_hash),
        may_log_in(),
        col(User.email_verified_at).is_not(None),
    ).where(key)
    row = (await connection.execute(statement)).first()
    return Credentials(*row) if row else None


async def replace_password(
    session: AsyncSession, user_id: uuid.UUID, *, old_hash: str, new_hash: str
) -> bool:
    """Set the hash, unless somebody else changed it meanwhile. Whether it was set."""
    statement = (
        update(User)
        .where(col(User.id) == user_id, col(User.password_hash) == old_hash)
        .values(password_hash=new_hash)
        .returning(col(User.id))
    )
    return await session.scalar(statement) is not None
