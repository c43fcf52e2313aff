"""The life of an account: made, confirmed, recovered."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core import passwords
from fastapi_base.core.caller import Origin
from fastapi_base.core.config import AuthSettings
from fastapi_base.core.errors import RegistrationClosed
from fastapi_base.core.security import PasswordHasher
from fastapi_base.db.database import Database
from fastapi_base.models.user import User
from fastapi_base.schemas.invitation import InvitationRead
from fastapi_base.services import audit, invitations, one_time, sessions, users
from fastapi_base.services.audit import Action
from fastapi_base.services.mailer import Kind, Mailer, Notice
from fastapi_base.services.one_time import Purpose
from fastapi_base.services.throttle import Throttle


@dataclass(frozen=True, slots=True)
class Accounts:
    """What strangers may ask for an address. No reply tells whether it has an account.

    `throttle` counts mails asked for, as logins are counted, so that nobody floods a mailbox.
    """

    database: Database
    hasher: PasswordHasher
    throttle: Throttle
    mailer: Mailer
    settings: AuthSettings

    async def register(
        self, *, email: str, password: str, invitation: str | None, origin: Origin
    ) -> None:
        """Add an account, or do the same work for nothing when the address has one.

        An invitation proves the address. An account that somebody made with it before, and never
        confirmed, makes way: else a stranger could wait in it, with a password of their own.

        The hash comes first, so nothing that holds a connection waits for a thread. Raises
        WeakPassword, TooManyAttempts, InvalidLink and RegistrationClosed.
        """
        mode = self.settings.registration
        if mode == "closed" or (mode == "invite-only" and invitation is None):
            raise RegistrationClosed
        passwords.check(password, email)
        await self.throttle.attempt(email, origin.address)
        if invitation is not None:
            async with self.database.read() as connection:
                await invitations.check(connection, invitation, email)
        password_hash = await self.hasher.hash(password)
        async with self.database.transaction() as session:
            if invitation is not None:
                await invitations.accept(session, invitation, email)
                await users.drop_unconfirmed(session, email)
            added = await users.add(
                session,
                email=email,
                password_hash=password_hash,
                is_verified=invitation is not None,
            )
            # Also when nothing was added: the same statements, the same time.
            await audit.record(
                session, Action.REGISTERED, origin, subject=added, added="yes" if added else "no"
            )
            if invitation is None or added is None:
                await self.mailer.ask_if_possible(session, Kind.REGISTERED, email=email)

    async def invite(self, email: str, actor: uuid.UUID, origin: Origin) -> InvitationRead:
        """Invite an address by mail. Raises EmailTaken, RegistrationClosed, MailDisabled."""
        if self.settings.registration == "closed":
            raise RegistrationClosed
        self.mailer.require()
        days = self.settings.invitation_days
        async with self.database.transaction() as session:
            made = await invitations.invite(session, email, days, actor, origin)
            await self.mailer.ask(session, Kind.INVITED, id=str(made.id))
        return made

    async def ask_to_verify(self, email: str, origin: Origin) -> None:
        """Send the link again. Raises TooManyAttempts, Unavailable and MailDisabled."""
        await self.throttle.attempt(email, origin.address)
        async with self.database.transaction() as session:
            await self.mailer.ask(session, Kind.REGISTERED, email=email)

    async def ask_to_reset(self, email: str, origin: Origin) -> None:
        """Send a link to set a password. Raises TooManyAttempts, Unavailable and MailDisabled."""
        await self.throttle.attempt(email, origin.address)
        async with self.database.transaction() as session:
            await self.mailer.ask(
                session,
                Kind.RESET,
                email=email,
                address=origin.address,
                user_agent=origin.user_agent,
                request_id=origin.request_id,
            )

    async def reset_password(self, token: str, new: str, origin: Origin) -> None:
        """Set a password by a token, and end all sessions. Raises InvalidLink and WeakPassword.

        The token is looked at before the password is hashed, so that who has none cannot keep the
        hashing busy, and is used together with the change. It proves the address, too.
        """
        async with self.database.read() as connection:
            email = await one_time.address(connection, token, Purpose.RESET)
        passwords.check(new, email)
        password_hash = await self.hasher.hash(new)
        async with self.database.transaction() as session:
            user_id = await one_time.use(session, token, Purpose.RESET)
            await session.exec(
                update(User)
                .where(col(User.id) == user_id)
                .values(password_hash=password_hash, email_verified_at=datetime.now(UTC))
            )
            await one_time.void(session, user_id)
            await audit.record(
                session, Action.PASSWORD_RESET, origin, actor=user_id, subject=user_id
            )
            await sessions.revoke_all(
                session, user_id, origin, actor=user_id, reason="password-reset"
            )
            await self.mailer.notify(session, user_id, Notice.PASSWORD_CHANGED)


async def verify(session: AsyncSession, token: str, origin: Origin) -> None:
    """Confirm the address that the token was sent to. Raises InvalidLink."""
    user_id = await one_time.use(session, token, Purpose.VERIFY)
    await session.exec(
        update(User).where(col(User.id) == user_id).values(email_verified_at=datetime.now(UTC))
    )
    await audit.record(session, Action.EMAIL_VERIFIED, origin, actor=user_id, subject=user_id)
