"""Operations of superusers on accounts. At least one active superuser always remains.

A superuser's API key with the scope may perform them too, except on superusers: a stolen key must
neither grant more privileges than it has nor disable the people who could revoke it. A key cannot
end sessions either.
"""

import uuid
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import (
    Conflict,
    EmailTaken,
    Forbidden,
    LastSuperuser,
    NotAuthenticated,
    SessionNeeded,
)
from fastapi_base.core.security import password_strength
from fastapi_base.core.security.caller import Origin
from fastapi_base.core.security.passwords import PasswordHasher
from fastapi_base.models.identity.user import User
from fastapi_base.schemas.identity.admin import UserFilter, UserPatch
from fastapi_base.schemas.identity.user import UserRead
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import api_keys, sessions, users
from fastapi_base.services.mail.request import Mailer, MailKind
from fastapi_base.utils.pagination import Listing, Page, PageQuery, fetch, starts_with

LISTING = Listing(
    "users",
    col(User.id),
    {"created_at": col(User.created_at), "email": col(User.email)},
    default="-created_at",
    ranges={
        "email_prefix": "email",
        "created_from": "created_at",
        "created_before": "created_at",
    },
)


@dataclass(frozen=True, slots=True)
class Actor:
    """The acting superuser, and whether an API key is used; for commands, `id` is None."""

    id: uuid.UUID | None
    by_key: bool = False


OPERATOR = Actor(None)


async def listed(
    connection: AsyncConnection,
    chosen: UserFilter,
    query: PageQuery,
    *,
    email_part: str | None = None,
) -> Page[UserRead]:
    """One page of accounts.

    `email_part` matches anywhere in the address. No index serves it, so only commands offer it.
    """
    statement = users.READ
    if email_part:
        statement = statement.where(col(User.email).contains(email_part.lower(), autoescape=True))
    if chosen.email_prefix:
        statement = statement.where(*starts_with(col(User.email), chosen.email_prefix.lower()))
    if chosen.created_from:
        statement = statement.where(col(User.created_at) >= chosen.created_from)
    if chosen.created_before:
        statement = statement.where(col(User.created_at) < chosen.created_before)
    # The indexes of this list start with both columns.
    branches = [
        and_(col(User.is_active) == is_active, col(User.is_superuser) == is_superuser)
        for is_active in _either(chosen.is_active)
        for is_superuser in _either(chosen.is_superuser)
    ]
    return await fetch(connection, statement, query, UserRead.model_validate, branches)


def _either(chosen: bool | None) -> tuple[bool, ...]:
    return (True, False) if chosen is None else (chosen,)


async def create(
    session: AsyncSession,
    hasher: PasswordHasher,
    *,
    email: str,
    password: str,
    display_name: str | None,
    is_superuser: bool,
    actor: Actor,
    origin: Origin,
) -> UserRead:
    """Add an account. Raises EmailTaken, WeakPassword, SessionNeeded and Forbidden.

    A key that may not do this costs no hash. The password is hashed before the session has a
    connection, so that neither connections nor locks wait for a hashing thread.

    A superuser in a session vouches for the address. An API key does not: its holder could
    otherwise pre-register the accounts of others.
    """
    _spare(is_superuser, actor)
    password_strength.check(password, email)
    password_hash = await hasher.hash(password)
    await _authorised(session, actor)
    added = await users.add(
        session,
        email=email,
        password_hash=password_hash,
        is_superuser=is_superuser,
        is_verified=not actor.by_key,
    )
    if added is None:
        raise EmailTaken
    if display_name:
        await session.exec(
            update(User).where(col(User.id) == added).values(display_name=display_name)
        )
    await audit.record(
        session,
        Action.CREATED,
        origin,
        actor=actor.id,
        subject=added,
        changes=audit.changes({}, {"display_name": display_name, "is_superuser": is_superuser}),
    )
    return await users.get(await session.connection(), added)


async def change(
    session: AsyncSession,
    user_id: uuid.UUID,
    patch: UserPatch,
    *,
    actor: Actor,
    origin: Origin,
) -> UserRead:
    """Apply the patch's fields. Raises NotFound, LastSuperuser, SessionNeeded and Forbidden."""
    values = patch.model_dump(exclude_unset=True)
    _spare(bool(values.get("is_superuser")), actor)
    active = await _authorised(session, actor)
    before = await users.lock_existing(session, user_id)
    _spare(before.is_superuser, actor)
    if before.is_superuser and values.get("is_superuser") is False:
        await api_keys.narrow(session, user_id)
    return await _set(
        session, before, values, Action.CHANGED, actor=actor, origin=origin, active=active
    )


async def set_active(
    session: AsyncSession,
    user_id: uuid.UUID,
    active: bool,
    *,
    actor: Actor,
    origin: Origin,
) -> UserRead:
    """Reactivate or deactivate an account.

    Deactivation takes effect from the account's next request on, and ends its sessions and API keys
    permanently. Raises NotFound, LastSuperuser, SessionNeeded and Forbidden. Does nothing if the
    account already has the state. It cancels a deactivation or deletion by the owner: the account
    will not be removed, and a login does not reactivate it.
    """
    left = await _authorised(session, actor)
    before = await users.lock_existing(session, user_id)
    _spare(before.is_superuser, actor)
    changed = await _set(
        session,
        before,
        {"is_active": active},
        Action.ACTIVATED if active else Action.DEACTIVATED,
        actor=actor,
        origin=origin,
        active=left,
    )
    if not active:
        await sessions.revoke_all(session, user_id, origin, actor=actor.id, reason="deactivated")
    if not (active and before.is_active):
        # Also on reactivation: see users.end_keys.
        await api_keys.end_all(session, user_id, origin, actor=actor.id, reason="deactivated")
    return changed


async def remove(
    session: AsyncSession, user_id: uuid.UUID, *, actor: Actor, origin: Origin
) -> None:
    """Remove an account with everything that belongs to it.

    Raises NotFound, LastSuperuser, SessionNeeded and Forbidden.
    """
    active = await _authorised(session, actor)
    _spare((await users.lock_existing(session, user_id)).is_superuser, actor)
    if active == {user_id}:
        raise LastSuperuser
    await session.exec(delete(User).where(col(User.id) == user_id))
    await audit.record(session, Action.REMOVED, origin, actor=actor.id, subject=user_id)


async def end_sessions(
    session: AsyncSession, user_id: uuid.UUID, *, actor: Actor, origin: Origin
) -> int:
    """End all sessions of an account. Returns their number.

    Raises NotFound, Forbidden, and SessionNeeded for any API key: keys cannot manage sessions.
    """
    _spare(True, actor)
    await _authorised(session, actor)
    await users.lock_existing(session, user_id)
    me = actor.id
    return await sessions.revoke_all(session, user_id, origin, actor=me, reason="by-superuser")


async def send_reset(
    session: AsyncSession, mailer: Mailer, user_id: uuid.UUID, *, actor: Actor, origin: Origin
) -> None:
    """Mail the owner of an account a link to set a new password.

    Raises NotFound, Forbidden, MailDisabled, SessionNeeded for any API key, and Conflict for a
    deactivated account, whose owner cannot log in.
    """
    mailer.require()
    _spare(True, actor)
    await _authorised(session, actor)
    user = await users.lock_existing(session, user_id)
    if not user.is_active:
        raise Conflict("The account is deactivated; reactivate it first")
    await mailer.request(
        session,
        MailKind.RESET,
        email=user.email,
        by="superuser",
    )
    await audit.record(
        session, Action.RESET_REQUESTED, origin, actor=actor.id, subject=user_id, by="superuser"
    )


async def _set(
    session: AsyncSession,
    before: UserRead,
    values: dict[str, Any],
    action: Action,
    *,
    actor: Actor,
    origin: Origin,
    active: Set[uuid.UUID],
) -> UserRead:
    """Change a locked account, unless it is the last of the active superusers and would leave."""
    leaves = not (values.get("is_superuser", True) and values.get("is_active", True))
    if leaves and active == {before.id}:
        raise LastSuperuser
    # The superuser's decision overrides the owner's: a login by the owner no longer reactivates.
    taken_over = "is_active" in values and await users.take_over(session, before.id)
    further = audit.changes({"by_owner": True}, {"by_owner": False}) if taken_over else None
    by = {"by": "command"} if actor.id is None else {}
    return await users.change(
        session, before, values, action, origin, actor=actor.id, further=further, **by
    )


def _spare(outranks: bool, actor: Actor) -> None:
    """Raise SessionNeeded if an API key attempts what requires a superuser in a session."""
    if outranks and actor.by_key:
        raise SessionNeeded(
            "API keys cannot create, change, deactivate or remove superusers, nor end sessions;"
            " log in"
        )


async def _authorised(session: AsyncSession, actor: Actor) -> set[uuid.UUID]:
    """Lock and return the active superusers, after checking that the caller is still one of them.

    An operator's command needs no account. Raises NotAuthenticated or Forbidden if another
    superuser concurrently deactivated or demoted the caller.
    """
    active = await superusers(session)
    if actor.id is not None and actor.id not in active:
        caller = await users.lock(session, actor.id)
        raise Forbidden if caller and caller.is_active else NotAuthenticated
    return active


async def superusers(session: AsyncSession) -> set[uuid.UUID]:
    """Lock and return the active superusers.

    They are locked in the order of their ids and before anything else, so that requests wait
    instead of deadlocking: of two that would each leave the other's account as the last, one sees
    the other's change.
    """
    statement = (
        select(col(User.id))
        .where(col(User.is_superuser), col(User.is_active))
        .order_by(col(User.id))
        .with_for_update()
    )
    return set(await session.scalars(statement))
