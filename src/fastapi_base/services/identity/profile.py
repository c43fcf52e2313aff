"""What the owner of an account changes in it."""

import uuid

from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.security.caller import Origin
from fastapi_base.schemas.identity.user import ProfilePatch, UserRead
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import users


async def change(
    session: AsyncSession, user_id: uuid.UUID, patch: ProfilePatch, *, origin: Origin
) -> UserRead:
    """Apply the fields of the patch to the caller's own account. Raises NotFound."""
    before = await users.lock_existing(session, user_id)
    values = patch.model_dump(exclude_unset=True)
    return await users.change(session, before, values, Action.CHANGED, origin, actor=user_id)
