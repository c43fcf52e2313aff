"""The end of an account: its owner deactivates or deletes it, and can come back for a while."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, or_, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.caller import Origin
from fastapi_base.core.errors import LastSuperuser
from fastapi_base.models.audit import AuditEvent
from fastapi_base.models.user import User
from fastapi_base.services import admin, audit, one_time, sessions
from fastapi_base.services.audit import Action
from fastapi_base.services.auth import Auth, Principal
from fastapi_base.services.mailer import Notice


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What owners do to their accounts, each with the password."""

    auth: Auth

    async def deactivate(self, principal: Principal, *, password: str, origin: Origin) -> None:
        """Nobody uses the account until its owner logs in. Ends all sessions.

        Raises WrongPassword, TooManyAttempts and LastSuperuser.
        """
        await self.auth.confirm(principal, password, origin)
        me = principal.user.id
        async with self.auth.database.transaction() as session:
            await self._end(session, me, None, origin)
            await audit.record(session, Action.DEACTIVATED, origin, actor=me, subject=me)
            await self.auth.mailer.notify(session, me, Notice.DEACTIVATED)

    async def delete(self, principal: Principal, *, password: str, origin: Origin) -> datetime:
        """Deactivate the account and have it removed after AUTH_DELETION_DAYS; returns when.

        Logging in until then keeps it. Raises WrongPassword, TooManyAttempts and LastSuperuser.
        """
        await self.auth.confirm(principal, password, origin)
        me = principal.user.id
        when = datetime.now(UTC) + timedelta(days=self.auth.settings.deletion_days)
        async with self.auth.database.transaction() as session:
            await self._end(session, me, when, origin)
            await audit.record(session, Action.DELETION_ASKED, origin, actor=me, subject=me)
            await self.auth.mailer.notify(session, me, Notice.DELETION_ASKED)
        return when

    async def _end(
        self,
        session: AsyncSession,
        user_id: uuid.UUID,
        delete_after: datetime | None,
        origin: Origin,
    ) -> None:
        if await admin.superusers(session) == {user_id}:
            raise LastSuperuser
        await session.exec(
            update(User)
            .where(col(User.id) == user_id)
            .values(is_active=False, deactivated_at=datetime.now(UTC), delete_after=delete_after)
        )
        await one_time.void(session, user_id)
        await sessions.revoke_all(session, user_id, origin, actor=user_id, reason="deactivated")


async def remove(session: AsyncSession, user_ids: list[uuid.UUID]) -> None:
    """Remove accounts that their owners deleted, with all that belongs to them.

    Their events stay in the audit log, under an id that leads to nobody, without address and
    program of the caller.
    """
    await session.exec(delete(User).where(col(User.id).in_(user_ids)))
    await session.exec(
        update(AuditEvent)
        .where(
            or_(
                col(AuditEvent.actor_id).in_(user_ids),
                col(AuditEvent.actor_id).is_(None) & col(AuditEvent.subject_id).in_(user_ids),
            )
        )
        .values(address=None, user_agent=None)
    )
    for user_id in user_ids:
        await audit.record(session, Action.DELETED, Origin(), subject=user_id)
