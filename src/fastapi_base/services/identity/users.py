"""Accounts."""

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Uuid, any_, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import NotFound
from fastapi_base.core.ids import uuid7
from fastapi_base.core.security.caller import Origin
from fastapi_base.core.security.tokens import Claims
from fastapi_base.models.identity.api_key import ApiKey
from fastapi_base.models.identity.external_identity import ExternalIdentity  # slice: oidc
from fastapi_base.models.identity.second_factor import TotpFactor
from fastapi_base.models.identity.session import LoginSession
from fastapi_base.models.identity.user import UNIQUE_EMAIL, User
from fastapi_base.schemas.identity.user import UserRead
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action, Changes
from fastapi_base.services.identity import sessions
from fastapi_base.services.stamps import stamp_of
from fastapi_base.utils.cache import Stamp
from fastapi_base.utils.statements import Statement, StatementRunner

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
    READ.add_columns(
        col(LoginSession.id).label("session_id"), stamp_of(col(User.id)).label("stamp")
    )
    .join(LoginSession, col(LoginSession.user_id) == col(User.id))
    .where(
        col(LoginSession.id) == any_(bindparam("sessions", type_=ARRAY(Uuid))),
        *sessions.live(),
    )
)


@dataclass(frozen=True, slots=True)
class Caller:
    """An account, and the cache stamp of its data at the time of the query."""

    user: UserRead
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a login is checked against. `is_active`: the account may log in, see `may_log_in`.

    `deactivated_at` is when its owner deactivated the account, `second_factor` since when logins
    require a code; None otherwise.
    """

    id: uuid.UUID
    email: str
    password_hash: str = field(repr=False)
    is_active: bool
    is_verified: bool
    is_superuser: bool
    deactivated_at: datetime | None
    second_factor: datetime | None

    @property
    def state(self) -> str:
        """A digest of what logins depend on: it changes if a login could have another outcome.

        Verification of the address does not change it.
        """
        parts = (self.email, self.password_hash, self.is_active)
        times = (self.deactivated_at, self.second_factor)
        said = [*parts, *(time and time.timestamp() for time in times)]
        return hashlib.sha256(repr(said).encode()).hexdigest()


async def add(
    session: AsyncSession,
    *,
    email: str,
    password_hash: str,
    is_superuser: bool = False,
    is_verified: bool = False,
) -> uuid.UUID | None:
    """Add an account unless the address has one. Returns its id if it was added.

    One statement in both cases, so that neither timing nor errors distinguish them.
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


async def get(connection: AsyncConnection, user_id: uuid.UUID) -> UserRead:
    """One account. Raises NotFound."""
    row = (await connection.execute(READ.where(col(User.id) == user_id))).first()
    if row is None:
        raise NotFound("The account does not exist")
    return UserRead.model_validate(row)


async def lock(session: AsyncSession, user_id: uuid.UUID) -> UserRead | None:
    """Lock the account until the end of the transaction; its current state, or None if it is gone.

    Other transactions wait to lock, change or remove it, but not to add rows that refer to it (FOR
    NO KEY UPDATE).
    """
    statement = READ.where(col(User.id) == user_id).with_for_update(key_share=True)
    row = (await (await session.connection()).execute(statement)).first()
    return UserRead.model_validate(row) if row else None


async def lock_existing(session: AsyncSession, user_id: uuid.UUID) -> UserRead:
    """Lock the account as by `lock`. Raises NotFound."""
    found = await lock(session, user_id)
    if found is None:
        raise NotFound("The account does not exist")
    return found


async def change(
    session: AsyncSession,
    before: UserRead,
    values: Mapping[str, Any],
    action: Action,
    origin: Origin,
    *,
    actor: uuid.UUID | None,
    further: Changes | None = None,
    **details: str,
) -> UserRead:
    """Set fields of a locked account and record what changed; returns its new state.

    `further` are changes that the caller already made, `details` are recorded as given. If nothing
    changed, nothing is recorded.
    """
    fields = audit.changes({name: getattr(before, name) for name in values}, values)
    changes = {**fields, **(further or {})}
    if not changes:
        return before
    await session.exec(update(User).where(col(User.id) == before.id).values(**values))
    await audit.record(
        session, action, origin, actor=actor, subject=before.id, changes=changes, **details
    )
    return await get(await session.connection(), before.id)


async def drop_unconfirmed(session: AsyncSession, email: str) -> None:
    """Remove the account with this address if the address was never verified."""
    await session.exec(
        delete(User).where(
            col(User.email) == email,
            col(User.email_verified_at).is_(None),
            col(User.is_superuser).is_(False),
        )
    )


def may_log_in() -> ColumnElement[bool]:
    """Whether an account is active, or deactivated by its owner, so that a login reactivates it."""
    return or_(col(User.is_active), col(User.deactivated_at).is_not(None))


async def reactivate(session: AsyncSession, user_id: uuid.UUID) -> bool:
    """Undo a deactivation or deletion by the owner. Returns whether there was one.

    API keys stay revoked: they do not return with the account.
    """
    statement = (
        update(User)
        .where(col(User.id) == user_id, col(User.deactivated_at).is_not(None))
        .values(is_active=True, deactivated_at=None, delete_after=None)
        .returning(col(User.id))
    )
    back = await session.scalar(statement) is not None
    if back:
        await end_keys(session, user_id)
    return back


async def end_keys(session: AsyncSession, user_id: uuid.UUID) -> list[uuid.UUID]:
    """Revoke the account's API keys permanently; returns their ids.

    Called on deactivation, and again on reactivation: a process of the previous release may have
    deactivated the account without revoking them.
    """
    statement = (
        update(ApiKey)
        .where(col(ApiKey.user_id) == user_id, col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=func.now())
        .returning(col(ApiKey.id))
    )
    return list(await session.scalars(statement))


async def take_over(session: AsyncSession, user_id: uuid.UUID) -> bool:
    """Clear the owner's deactivation; the account stays inactive. Returns whether there was one."""
    statement = (
        update(User)
        .where(col(User.id) == user_id, col(User.deactivated_at).is_not(None))
        .values(deactivated_at=None, delete_after=None)
        .returning(col(User.id))
    )
    return await session.scalar(statement) is not None


async def in_sessions(database: StatementRunner, asked: Iterable[Claims]) -> dict[Claims, Caller]:
    """The accounts of the claims whose session is live and belongs to the account."""
    values = {"sessions": list({claims.session_id for claims in asked})}
    return {
        Claims(row["id"], row["session_id"]): Caller(UserRead.model_validate(row), row["stamp"])
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
        col(User.is_superuser),
        col(User.deactivated_at),
        select(col(TotpFactor.confirmed_at))
        .where(col(TotpFactor.user_id) == col(User.id))
        .scalar_subquery(),
    ).where(key)
    row = (await connection.execute(statement)).first()
    return Credentials(*row) if row else None


async def set_password(session: AsyncSession, user_id: uuid.UUID, password_hash: str) -> None:
    """Set the password hash unconditionally."""
    statement = update(User).where(col(User.id) == user_id).values(password_hash=password_hash)
    await session.exec(statement)


async def locked(session: AsyncSession, user_id: uuid.UUID) -> Credentials | None:
    """What a login is checked against, of an account locked as by `lock`.

    Two statements, because a statement sees what was committed before it began: a single one that
    waited for the lock would return a stale second factor.
    """
    await lock(session, user_id)
    return await credentials(await session.connection(), user_id=user_id)


# begin slice: oidc
async def linked(session: AsyncSession, user_id: uuid.UUID, identity_id: uuid.UUID) -> bool:
    """Whether this identity is still linked to the account."""
    identity = col(ExternalIdentity.id) == identity_id
    statement = select(col(ExternalIdentity.id)).where(
        identity, col(ExternalIdentity.user_id) == user_id
    )
    return await session.scalar(statement) is not None


# end slice: oidc


async def replace_password(
    session: AsyncSession, user_id: uuid.UUID, *, old_hash: str, new_hash: str
) -> bool:
    """Set the hash unless somebody changed it meanwhile. Returns whether it was set."""
    statement = (
        update(User)
        .where(col(User.id) == user_id, col(User.password_hash) == old_hash)
        .values(password_hash=new_hash)
        .returning(col(User.id))
    )
    return await session.scalar(statement) is not None
