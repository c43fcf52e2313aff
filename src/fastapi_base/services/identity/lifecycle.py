"""An owner deactivates or deletes their account, and can restore it for a limited time."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, or_, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import LastSuperuser
from fastapi_base.core.security.caller import Origin
from fastapi_base.models.audit.audit import AuditEvent
from fastapi_base.models.identity.user import User
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import admin, api_keys, sessions, single_use_tokens
from fastapi_base.services.identity.auth import Auth, Principal
from fastapi_base.services.identity.authentication import Confirmed
from fastapi_base.services.mail.request import Notice


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Operations of owners on their own account; each requires the password."""

    auth: Auth

    async def deactivate(self, principal: Principal, *, password: str, origin: Origin) -> None:
        """Deactivate the account until its owner logs in, and end all sessions.

        Raises WrongPassword, TooManyAttempts and LastSuperuser.
        """
        confirmed = await self.auth.confirm(principal, password, origin)
        me = principal.user.id
        async with self.auth.database.transaction() as session:
            await self._end(session, confirmed, None, origin)
            await audit.record(session, Action.DEACTIVATED, origin, actor=me, subject=me)
            await self.auth.mailer.notify(session, me, Notice.DEACTIVATED)

    async def delete(self, principal: Principal, *, password: str, origin: Origin) -> datetime:
        """Deactivate the account and schedule its removal in AUTH_DELETION_DAYS; returns the time.

        A login before that cancels the deletion. Raises WrongPassword, TooManyAttempts and
        LastSuperuser.
        """
        confirmed = await self.auth.confirm(principal, password, origin)
        me = principal.user.id
        when = datetime.now(UTC) + timedelta(days=self.auth.settings.deletion_days)
        async with self.auth.database.transaction() as session:
            await self._end(session, confirmed, when, origin)
            await audit.record(session, Action.DELETION_ASKED, origin, actor=me, subject=me)
            await self.auth.mailer.notify(session, me, Notice.DELETION_ASKED)
        return when

    async def _end(
        self,
        session: AsyncSession,
        confirmed: Confirmed,
        delete_after: datetime | None,
        origin: Origin,
    ) -> None:
        user_id = confirmed.user_id
        # Before the account itself: superusers are locked in the order of their ids.
        if await admin.superusers(session) == {user_id}:
            raise LastSuperuser
        await confirmed.recheck(session)
        await session.exec(
            update(User)
            .where(col(User.id) == user_id)
            .values(is_active=False, deactivated_at=datetime.now(UTC), delete_after=delete_after)
        )
        await single_use_tokens.void(session, user_id)
        await api_keys.end_all(session, user_id, origin, actor=user_id, reason="deactivated")
        await sessions.revoke_all(session, user_id, origin, actor=user_id, reason="deactivated")


async def remove(session: AsyncSession, user_ids: list[uuid.UUID]) -> None:
    """Remove accounts whose owners deleted them, with everything that belongs to them.

    Their events stay in the audit log under an id that no longer refers to an account, without the
    caller's IP address and user agent.
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
