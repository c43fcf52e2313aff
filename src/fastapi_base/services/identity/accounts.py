"""The life cycle of an account: registration, verification, recovery."""

import uuid
from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import AuthSettings
from fastapi_base.core.errors import RegistrationClosed
from fastapi_base.core.security import password_strength
from fastapi_base.core.security.caller import Origin
from fastapi_base.core.security.passwords import PasswordHasher
from fastapi_base.db.session import Database
from fastapi_base.schemas.identity.invitation import InvitationRead
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import (
    invitations,
    ownership,
    sessions,
    single_use_tokens,
    users,
)
from fastapi_base.services.identity.single_use_tokens import Purpose
from fastapi_base.services.identity.throttle import Throttle
from fastapi_base.services.mail.request import Mailer, MailKind, Notice


@dataclass(frozen=True, slots=True)
class Accounts:
    """Operations on an e-mail address that need no login. Account enumeration is prevented.

    `throttle` limits requested mails as logins are limited, so that nobody can flood a mailbox.
    """

    database: Database
    hasher: PasswordHasher
    throttle: Throttle
    mailer: Mailer
    settings: AuthSettings

    async def register(
        self, *, email: str, password: str, invitation: str | None, origin: Origin
    ) -> None:
        """Add an account, or do equivalent work without effect if the address has one.

        An invitation proves the address. An unverified account with the address is replaced:
        otherwise an attacker could pre-register it with a password of their own.

        The password is hashed first, so that no database connection waits for a hashing thread.
        Raises WeakPassword, TooManyAttempts, InvalidLink and RegistrationClosed.
        """
        mode = self.settings.registration
        if mode == "closed" or (mode == "invite-only" and invitation is None):
            raise RegistrationClosed
        password_strength.check(password, email)
        await self.throttle.attempt(email, origin.address)
        if invitation is not None:
            async with self.database.read() as connection:
                await invitations.check(connection, invitation, email)
        password_hash = await self.hasher.hash(password)
        async with self.database.transaction() as session:
            if invitation is not None:
                await invitations.accept(session, invitation, email)
            added = await users.add(
                session,
                email=email,
                password_hash=password_hash,
                is_verified=invitation is not None,
            )
            if added is None and invitation is not None:
                # Only after the first attempt: the removal keeps others from adding the address
                # until commit.
                await users.drop_unconfirmed(session, email)
                added = await users.add(
                    session, email=email, password_hash=password_hash, is_verified=True
                )
            # Also if nothing was added: the same statements take the same time.
            await audit.record(
                session, Action.REGISTERED, origin, subject=added, added="yes" if added else "no"
            )
            if invitation is None or added is None:
                await self.mailer.request_if_enabled(session, MailKind.REGISTERED, email=email)

    async def invite(self, email: str, actor: uuid.UUID, origin: Origin) -> InvitationRead:
        """Invite an e-mail address. Raises EmailTaken, RegistrationClosed and MailDisabled."""
        if self.settings.registration == "closed":
            raise RegistrationClosed
        self.mailer.require()
        days = self.settings.invitation_days
        async with self.database.transaction() as session:
            made = await invitations.invite(session, email, days, actor, origin)
            await self.mailer.request(session, MailKind.INVITED, id=str(made.id))
        return made

    async def ask_to_verify(self, email: str, origin: Origin) -> None:
        """Send the link again. Raises TooManyAttempts, Unavailable and MailDisabled."""
        await self.throttle.attempt(email, origin.address)
        async with self.database.transaction() as session:
            await self.mailer.request(session, MailKind.REGISTERED, email=email)

    async def ask_to_reset(self, email: str, origin: Origin) -> None:
        """Send a password reset link. Raises TooManyAttempts, Unavailable and MailDisabled."""
        await self.throttle.attempt(email, origin.address)
        async with self.database.transaction() as session:
            await self.mailer.request(
                session,
                MailKind.RESET,
                email=email,
                address=origin.address,
                user_agent=origin.user_agent,
                request_id=origin.request_id,
            )

    async def reset_password(self, token: str, new: str, origin: Origin) -> None:
        """Set a password with a token, and end all sessions. Raises InvalidLink and WeakPassword.

        The token is checked before the password is hashed, so that a client without one cannot
        occupy the hashing threads. It is consumed in the transaction of the change. It verifies the
        address: on the first verification, nothing set up earlier remains
        (services/identity/ownership.py).
        """
        async with self.database.read() as connection:
            email = (await single_use_tokens.look(connection, token, Purpose.RESET)).email
        password_strength.check(new, email)
        password_hash = await self.hasher.hash(new)
        async with self.database.transaction() as session:
            user_id = (await single_use_tokens.use(session, token, Purpose.RESET)).user_id
            await set_new_password(
                session, self.mailer, user_id, password_hash, origin, actor=user_id
            )
        # Earlier logins may have been an attacker's. This also lets the owner in from a new network
        # while others guess the password.
        await self.throttle.know(email, origin.address)


async def set_new_password(
    session: AsyncSession,
    mailer: Mailer,
    user_id: uuid.UUID,
    password_hash: str,
    origin: Origin,
    *,
    actor: uuid.UUID | None,
) -> int:
    """Give the account to the owner of its address, with a new password, and notify that owner.

    The actor is the owner, or None for an operator's command. Returns the number of sessions ended.
    """
    by = {} if actor else {"by": "command"}
    await users.set_password(session, user_id, password_hash)
    await single_use_tokens.void(session, user_id)
    await audit.record(session, Action.PASSWORD_RESET, origin, actor=actor, subject=user_id, **by)
    reason = "password-reset" if actor else "by-command"
    count = await sessions.revoke_all(session, user_id, origin, actor=actor, reason=reason)
    await ownership.hand_over(session, user_id, origin, actor=actor)
    await mailer.notify(session, user_id, Notice.PASSWORD_CHANGED)
    return count
