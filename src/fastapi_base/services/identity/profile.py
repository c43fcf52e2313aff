"""What the owner of an account changes in it."""

import uuid

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import NotFound
from fastapi_base.core.security.caller import Origin
from fastapi_base.models.identity.user import User
from fastapi_base.schemas.identity.user import ProfilePatch, UserRead
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import users


async def change(
    session: AsyncSession, user_id: uuid.UUID, patch: ProfilePatch, *, origin: Origin
) -> UserRead:
    """Apply the fields of the patch to the caller's own account. Raises NotFound."""
    before = await users.lock(session, user_id)
    if before is None:
        raise NotFound("The account does not exist")
    values = patch.model_dump(exclude_unset=True)
    changes = audit.changes({name: getattr(before, name) for name in values}, values)
    if not changes:
        return before
    await session.exec(update(User).where(col(User.id) == user_id).values(**values))
    await audit.record(
        session, Action.CHANGED, origin, actor=user_id, subject=user_id, changes=changes
    )
    return await users.get(await session.connection(), user_id)
