"""An account's address changes when both the old and the new one were confirmed."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.caller import Origin
from fastapi_base.core.errors import Conflict, InvalidLink, NotFound
from fastapi_base.models.email_change import EmailChange as Change
from fastapi_base.models.user import User
from fastapi_base.schemas.email_change import EmailChangeRead
from fastapi_base.services import audit, one_time
from fastapi_base.services.audit import Action
from fastapi_base.services.auth import Auth, Principal
from fastapi_base.services.mailer import Kind, Notice
from fastapi_base.services.one_time import Purpose
from fastapi_base.services.throttle import Throttle

SIDES = (Purpose.CHANGE_OLD, Purpose.CHANGE_NEW)


@dataclass(frozen=True, slots=True)
class EmailChange:
    """Begins and completes changes. `throttle` counts mails asked for."""

    auth: Auth
    throttle: Throttle

    async def begin(
        self, principal: Principal, *, password: str, new_email: str, origin: Origin
    ) -> None:
        """Send a link to both addresses, in place of a change that was begun before.

        Says nothing of whether the new address has an account: its owner is told, not the caller.
        Raises WrongPassword, TooManyAttempts, Conflict for the address that it has, Unavailable and
        MailDisabled.
        """
        me, old_email = principal.user.id, principal.user.email
        if new_email == old_email:
            raise Conflict("It is the address of this account already")
        self.auth.mailer.require()
        await self.auth.confirm(principal, password, origin)
        await self.throttle.attempt(new_email, origin.address)
        now = datetime.now(UTC)
        async with self.auth.database.transaction() as session:
            await self._drop(session, me)
            await session.exec(
                insert(Change).values(
                    user_id=me,
                    old_email=old_email,
                    new_email=new_email,
                    created_at=now,
                    expires_at=now + timedelta(hours=self.auth.settings.verify_hours),
                )
            )
            await audit.record(session, Action.EMAIL_CHANGE_BEGUN, origin, actor=me, subject=me)
            for side in SIDES:
                mail = {"user_id": str(me), "side": side}
                await self.auth.mailer.ask(session, Kind.EMAIL_CHANGE, **mail)

    async def confirm(self, token: str, origin: Origin) -> bool:
        """Confirm the address that the token was sent to; whether the change took effect thereby.

        Raises InvalidLink, and EmailTaken when an account got the new address meanwhile.
        """
        now = datetime.now(UTC)
        async with self.auth.database.transaction() as session:
            user_id, side = await one_time.use_any(session, token, SIDES)
            confirmed = "old_confirmed_at" if side == Purpose.CHANGE_OLD else "new_confirmed_at"
            statement = (
                update(Change)
                .where(col(Change.user_id) == user_id, col(Change.expires_at) > now)
                .values({confirmed: now})
                .returning(
                    col(Change.old_email),
                    col(Change.new_email),
                    col(Change.old_confirmed_at),
                    col(Change.new_confirmed_at),
                )
            )
            change = (await session.exec(statement)).first()
            if change is None:
                raise InvalidLink
            if not (change.old_confirmed_at and change.new_confirmed_at):
                return False
            await session.exec(
                update(User)
                .where(col(User.id) == user_id)
                .values(email=change.new_email, email_verified_at=now)
            )
            await one_time.void(session, user_id)
            await audit.record(
                session, Action.EMAIL_CHANGED, origin, actor=user_id, subject=user_id
            )
            for address in [change.old_email, change.new_email]:
                await self.auth.mailer.notify(session, user_id, Notice.EMAIL_CHANGED, to=address)
        return True

    async def cancel(self, session: AsyncSession, user_id: uuid.UUID, origin: Origin) -> None:
        """Forget a change that was begun. Raises NotFound when there is none."""
        if not await self._drop(session, user_id):
            raise NotFound("No change of the address was begun")
        await audit.record(
            session, Action.EMAIL_CHANGE_CANCELLED, origin, actor=user_id, subject=user_id
        )

    async def _drop(self, session: AsyncSession, user_id: uuid.UUID) -> bool:
        statement = (
            delete(Change).where(col(Change.user_id) == user_id).returning(col(Change.user_id))
        )
        # Its tokens are worth nothing without it.
        return await session.scalar(statement) is not None


async def pending(connection: AsyncConnection, user_id: uuid.UUID) -> EmailChangeRead:
    """The change that waits. Raises NotFound."""
    statement = select(
        col(Change.new_email),
        col(Change.expires_at),
        col(Change.old_confirmed_at).is_not(None).label("old_confirmed"),
        col(Change.new_confirmed_at).is_not(None).label("new_confirmed"),
    ).where(col(Change.user_id) == user_id, col(Change.expires_at) > datetime.now(UTC))
    row = (await connection.execute(statement)).first()
    if row is None:
        raise NotFound("No change of the address was begun")
    return EmailChangeRead.model_validate(row)
