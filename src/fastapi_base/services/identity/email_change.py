"""An account's e-mail address changes after both the old and the new one are verified."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import Conflict, InvalidLink, NotFound
from fastapi_base.core.security.caller import Origin
from fastapi_base.models.identity.email_change import EmailChange as Change
from fastapi_base.models.identity.user import User
from fastapi_base.schemas.identity.email_change import EmailChangeRead
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import ownership, single_use_tokens, users
from fastapi_base.services.identity.auth import Auth, Principal
from fastapi_base.services.identity.single_use_tokens import Purpose
from fastapi_base.services.identity.throttle import Throttle
from fastapi_base.services.mail.request import MailKind, Notice

# One clock for all processes: another one later checks the change.
_NOW = func.statement_timestamp()
SIDES = (Purpose.CHANGE_OLD, Purpose.CHANGE_NEW)


@dataclass(frozen=True, slots=True)
class EmailChange:
    """Begins and completes changes. `throttle` limits the mails requested."""

    auth: Auth
    throttle: Throttle

    async def begin(
        self, principal: Principal, *, password: str, new_email: str, origin: Origin
    ) -> None:
        """Send a link to both addresses, replacing a pending change.

        Does not reveal whether the new address has an account: only its owner is notified. Raises
        WrongPassword, TooManyAttempts, Conflict for the current address, Unavailable,
        MailDisabled, and EmailNotVerified while the current address is not verified.
        """
        me, old_email = principal.user.id, principal.user.email
        if new_email == old_email:
            raise Conflict("The account already has this e-mail address")
        self.auth.mailer.require()
        ownership.require_verified(self.auth, principal.user)
        confirmed = await self.auth.confirm(principal, password, origin)
        await self.throttle.attempt(new_email, origin.address)
        async with self.auth.database.transaction() as session:
            ownership.require_verified(self.auth, await confirmed.recheck(session))
            await self._drop(session, me)
            await session.exec(
                insert(Change).values(
                    user_id=me,
                    old_email=old_email,
                    new_email=new_email,
                    created_at=_NOW,
                    expires_at=_NOW + timedelta(hours=self.auth.settings.verify_hours),
                )
            )
            await audit.record(session, Action.EMAIL_CHANGE_BEGUN, origin, actor=me, subject=me)
            for side in SIDES:
                mail = {"user_id": str(me), "side": side}
                await self.auth.mailer.request(session, MailKind.EMAIL_CHANGE, **mail)

    async def confirm(
        self, token: str, password: str | None, principal: Principal | None, origin: Origin
    ) -> bool:
        """Verify the address that the token was sent to. Returns whether the change took effect.

        For the new address the holder of the account must consent too: otherwise somebody could
        have the owner of an address verify it for an account that is not theirs. Raises
        InvalidLink, EmailTaken if an account took the new address meanwhile, and the errors of
        `ownership.require_holder`.
        """
        async with self.auth.database.read() as connection:
            link = await single_use_tokens.look(connection, token, *SIDES)
        holder = None
        if link.purpose == Purpose.CHANGE_NEW:
            holder = await ownership.require_holder(
                self.auth, link.user_id, password, principal, origin
            )
        async with self.auth.database.transaction() as session:
            link = await single_use_tokens.use(session, token, link.purpose)
            if holder is not None:
                await holder.recheck(session)
            user_id, old = link.user_id, link.purpose == Purpose.CHANGE_OLD
            confirmed = "old_confirmed_at" if old else "new_confirmed_at"
            statement = (
                update(Change)
                .where(col(Change.user_id) == user_id, col(Change.expires_at) > _NOW)
                .values({confirmed: _NOW})
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
            # An unverified account with the new address is removed, as for an invitation.
            await users.drop_unconfirmed(session, change.new_email)
            await session.exec(
                update(User)
                .where(col(User.id) == user_id)
                .values(email=change.new_email, email_verified_at=_NOW)
            )
            await single_use_tokens.void(session, user_id)
            await audit.record(
                session, Action.EMAIL_CHANGED, origin, actor=user_id, subject=user_id
            )
            for address in [change.old_email, change.new_email]:
                await self.auth.mailer.notify(session, user_id, Notice.EMAIL_CHANGED, to=address)
        return True

    async def cancel(self, session: AsyncSession, user_id: uuid.UUID, origin: Origin) -> None:
        """Cancel a pending change. Raises NotFound if there is none."""
        if not await self._drop(session, user_id):
            raise NotFound("There is no pending change of the e-mail address")
        await audit.record(
            session, Action.EMAIL_CHANGE_CANCELLED, origin, actor=user_id, subject=user_id
        )

    async def _drop(self, session: AsyncSession, user_id: uuid.UUID) -> bool:
        statement = (
            delete(Change).where(col(Change.user_id) == user_id).returning(col(Change.user_id))
        )
        # Its tokens are void without it.
        return await session.scalar(statement) is not None


async def pending(connection: AsyncConnection, user_id: uuid.UUID) -> EmailChangeRead:
    """The pending change. Raises NotFound."""
    statement = select(
        col(Change.new_email),
        col(Change.expires_at),
        col(Change.old_confirmed_at).is_not(None).label("old_confirmed"),
        col(Change.new_confirmed_at).is_not(None).label("new_confirmed"),
    ).where(col(Change.user_id) == user_id, col(Change.expires_at) > _NOW)
    row = (await connection.execute(statement)).first()
    if row is None:
        raise NotFound("There is no pending change of the e-mail address")
    return EmailChangeRead.model_validate(row)
