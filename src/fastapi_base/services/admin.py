"""What superusers do to accounts. There is always one active superuser left."""

import uuid
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.caller import Origin
from fastapi_base.core.errors import EmailTaken, LastSuperuser, NotFound
from fastapi_base.db.hooks import after_commit
from fastapi_base.models.user import User
from fastapi_base.schemas.admin import UserFilter, UserPatch
from fastapi_base.schemas.user import ProfilePatch, UserRead
from fastapi_base.services import audit, sessions, users
from fastapi_base.services.audit import Action
from fastapi_base.utils.cache import Cache, owner_tag
from fastapi_base.utils.pagination import Listing, Page, PageQuery, fetch

LISTING = Listing(
    "users",
    col(User.id),
    {"created_at": col(User.created_at), "email": col(User.email)},
    default="-created_at",
)


async def listed(
    connection: AsyncConnection, chosen: UserFilter, query: PageQuery
) -> Page[UserRead]:
    """Accounts, page by page."""
    statement = users.READ
    if chosen.email_prefix:
        prefix = chosen.email_prefix.lower()
        statement = statement.where(col(User.email).startswith(prefix, autoescape=True))
    if chosen.is_active is not None:
        statement = statement.where(col(User.is_active) == chosen.is_active)
    if chosen.is_superuser is not None:
        statement = statement.where(col(User.is_superuser) == chosen.is_superuser)
    if chosen.created_from:
        statement = statement.where(col(User.created_at) >= chosen.created_from)
    if chosen.created_before:
        statement = statement.where(col(User.created_at) < chosen.created_before)
    return await fetch(connection, statement, query, UserRead.model_validate)


async def get(connection: AsyncConnection, user_id: uuid.UUID) -> UserRead:
    """One account. Raises NotFound."""
    row = (await connection.execute(users.READ.where(col(User.id) == user_id))).first()
    if row is None:
        raise NotFound("There is no such account")
    return UserRead.model_validate(row)


async def create(
    session: AsyncSession,
    *,
    email: str,
    password_hash: str,
    display_name: str | None,
    is_superuser: bool,
    actor: uuid.UUID,
    origin: Origin,
) -> UserRead:
    """Add an account. Raises EmailTaken."""
    added = await users.add(
        session, email=email, password_hash=password_hash, is_superuser=is_superuser
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
        actor=actor,
        subject=added,
        changes=audit.changes({}, {"display_name": display_name, "is_superuser": is_superuser}),
    )
    return await get(await session.connection(), added)


async def change(
    session: AsyncSession,
    user_id: uuid.UUID,
    patch: UserPatch | ProfilePatch,
    *,
    actor: uuid.UUID,
    origin: Origin,
) -> UserRead:
    """Set what the patch names. Raises NotFound, and LastSuperuser."""
    return await _set(
        session,
        user_id,
        patch.model_dump(exclude_unset=True),
        Action.CHANGED,
        actor=actor,
        origin=origin,
    )


async def set_active(
    session: AsyncSession, user_id: uuid.UUID, active: bool, *, actor: uuid.UUID, origin: Origin
) -> UserRead:
    """Let an account in again, or shut it out from its next request on and end its sessions.

    Raises NotFound, and LastSuperuser. Does nothing when it is so already. What the owner did to
    end the account is over: it is neither removed nor active again with a login.
    """
    action = Action.ACTIVATED if active else Action.DEACTIVATED
    changed = await _set(
        session, user_id, {"is_active": active}, action, actor=actor, origin=origin
    )
    if not active:
        await sessions.revoke_all(session, user_id, origin, actor=actor, reason="deactivated")
    return changed


async def remove(
    session: AsyncSession, cache: Cache, user_id: uuid.UUID, *, actor: uuid.UUID, origin: Origin
) -> None:
    """Remove an account with all that is its own. Raises NotFound, and LastSuperuser."""
    active = await superusers(session)
    await _locked(session, user_id)
    if active == {user_id}:
        raise LastSuperuser
    await session.exec(delete(User).where(col(User.id) == user_id))
    await audit.record(session, Action.REMOVED, origin, actor=actor, subject=user_id)
    after_commit(session, lambda: cache.drop(tags=(owner_tag(user_id),)))


async def end_sessions(
    session: AsyncSession, user_id: uuid.UUID, *, actor: uuid.UUID | None, origin: Origin
) -> int:
    """End all sessions of an account; how many there were. Raises NotFound."""
    await get(await session.connection(), user_id)
    return await sessions.revoke_all(session, user_id, origin, actor=actor, reason="by-superuser")


async def _set(
    session: AsyncSession,
    user_id: uuid.UUID,
    values: dict[str, Any],
    action: Action,
    *,
    actor: uuid.UUID,
    origin: Origin,
) -> UserRead:
    leaves = not (values.get("is_superuser", True) and values.get("is_active", True))
    active = await superusers(session) if leaves else set()
    before = await _locked(session, user_id)
    changes = dict(audit.changes({name: getattr(before, name) for name in values}, values))
    # From here on it is the superuser's word that counts: the owner's next login changes nothing.
    if "is_active" in values and await users.take_over(session, user_id):
        changes |= audit.changes({"by_owner": True}, {"by_owner": False})
    if not changes:
        return before
    if active == {user_id}:
        raise LastSuperuser
    await session.exec(update(User).where(col(User.id) == user_id).values(**values))
    await audit.record(session, action, origin, actor=actor, subject=user_id, changes=changes)
    return await get(await session.connection(), user_id)


async def _locked(session: AsyncSession, user_id: uuid.UUID) -> UserRead:
    statement = users.READ.where(col(User.id) == user_id).with_for_update()
    row = (await (await session.connection()).execute(statement)).first()
    if row is None:
        raise NotFound("There is no such account")
    return UserRead.model_validate(row)


async def superusers(session: AsyncSession) -> set[uuid.UUID]:
    """The active superusers, locked.

    In the order of their ids and before anything else is locked, so that requests wait and do not
    embrace: of two that would each leave the other's account as the last, one sees the other's
    work.
    """
    statement = (
        select(col(User.id))
        .where(col(User.is_superuser), col(User.is_active))
        .order_by(col(User.id))
        .with_for_update()
    )
    return set(await session.scalars(statement))
