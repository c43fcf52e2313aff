"""Login, and authentication of the caller."""

import contextlib
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog

from fastapi_base.core.config import AuthSettings
from fastapi_base.core.errors import (
    AccountChanged,
    EmailNotVerified,
    InvalidCredentials,
    NotAuthenticated,
    NotFound,
    NotFresh,
    SecondFactorRequired,
    WrongPassword,
)
from fastapi_base.core.security import password_strength
from fastapi_base.core.security.caller import Origin
from fastapi_base.core.security.passwords import PasswordHasher
from fastapi_base.core.security.scopes import Scope, of_role
from fastapi_base.core.security.tokens import AccessToken, Claims, TokenCodec
from fastapi_base.db.failures import UNAVAILABLE
from fastapi_base.db.session import Database
from fastapi_base.schemas.identity.auth import TokenRead
from fastapi_base.schemas.identity.user import UserRead, normal_email
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import sessions, single_use_tokens, users
from fastapi_base.services.identity.admission import admit, to_challenge
from fastapi_base.services.identity.authentication import Authentication, Confirmed
from fastapi_base.services.identity.callers import Callers
from fastapi_base.services.identity.challenges import ChallengeKind, Challenges
from fastapi_base.services.identity.throttle import Throttle
from fastapi_base.services.mail.request import Mailer, Notice
from fastapi_base.utils.cache import Stamp

log = structlog.stdlib.get_logger(__name__)
# How often a login rechecks the password if the account changes concurrently.
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """The current caller and their session.

    `stamp` is the cache stamp of the account's data, read in the same request: see
    services/stamps.py.
    """

    user: UserRead
    session_id: uuid.UUID
    stamp: Stamp

    @property
    def scopes(self) -> frozenset[Scope]:
        """All scopes of the account."""
        return of_role(is_superuser=self.user.is_superuser)


@dataclass(frozen=True, slots=True)
class Auth:
    """Login, and operations on the resulting session."""

    database: Database
    hasher: PasswordHasher
    tokens: TokenCodec
    throttle: Throttle
    challenges: Challenges
    mailer: Mailer
    settings: AuthSettings
    callers: Callers

    async def log_in(
        self, *, email: str, password: str, origin: Origin, refreshable: bool = True
    ) -> sessions.Grant:
        """Create a session for a caller who knows the password.

        Raises InvalidCredentials alike, and after the same hashing, for an unknown address, a wrong
        password and an inactive account, and TooManyAttempts after many of them. Raises
        SecondFactorRequired, with a challenge, if the account has a second factor, and
        EmailNotVerified after the correct password, if verification is required. If the account
        changes while the password is hashed, the password is checked against the new state.
        """
        address = normal_email(email)
        account, key = address or email, {"email": address} if address else None
        await self.throttle.attempt(account, origin.address)
        before: users.Credentials | None = None
        for _ in range(_ROUNDS):
            found = await self._by_password(account, key, password, origin, before)
            authentication = Authentication(found, by="password", methods=sessions.PASSWORD)
            try:
                grant = await self.enter(authentication, origin, refreshable=refreshable)
            except AccountChanged:
                before = found
                continue
            except UNAVAILABLE:
                await self.throttle.give_back(account, origin.address)
                raise
            except (SecondFactorRequired, EmailNotVerified):
                await self._was_right(found, account, origin)
                raise
            await self._was_right(found, account, origin)
            return grant
        await self.throttle.give_back(account, origin.address)
        raise AccountChanged

    async def _by_password(
        self,
        account: str,
        key: dict[str, Any] | None,
        password: str,
        origin: Origin,
        before: users.Credentials | None,
    ) -> users.Credentials:
        """The account with this address and password. Raises InvalidCredentials.

        `key` finds the account; it is None for an invalid address. `before` is the state that this
        login saw first: a login that began before the owner deactivated the account does not
        reactivate it.
        """
        found, fits = await self._judge(account, key, password, origin)
        if found is None or not fits or not found.is_active or _ended(before, found):
            await self._record_failure(found, fits, origin)
            # An invalid address gets no mail, and may be text that cannot be stored.
            if await self.throttle.failed(account) and key:
                async with self.database.transaction() as session:
                    await self.mailer.notify(session, None, Notice.MANY_FAILURES, to=account)
            raise InvalidCredentials
        if self.hasher.outdated(found.password_hash):
            found = await self._rehash(found, password)
        return found

    async def _judge(
        self, account: str, key: dict[str, Any] | None, password: str, origin: Origin
    ) -> tuple[users.Credentials | None, bool]:
        """The account with this address, and whether the password is correct.

        The attempt is given back if the service is too busy to check the password.
        """
        found = None
        try:
            if key:
                async with self.database.read() as connection:
                    found = await users.credentials(connection, **key)
            fits = await self.hasher.verify(password, found.password_hash if found else None)
        except UNAVAILABLE:
            await self.throttle.give_back(account, origin.address)
            raise
        return found, fits

    async def _was_right(self, found: users.Credentials, account: str, origin: Origin) -> None:
        if await self.throttle.right(account, origin.address):
            async with self.database.transaction() as session:
                await self.mailer.notify(session, found.id, Notice.NEW_NETWORK)

    async def enter(
        self, login: Authentication, origin: Origin, *, refreshable: bool
    ) -> sessions.Grant:
        """Create a session from an authentication, if the account is unchanged.

        Raises AccountChanged if it changed, EmailNotVerified, and SecondFactorRequired, with the
        challenge for the next step, if a code is needed too.
        """
        async with self.database.transaction() as session:
            grant = await admit(
                session, self.settings, self.mailer, login, origin, refreshable=refreshable
            )
        if grant is not None:
            return grant
        challenge = await self.challenges.issue(ChallengeKind.SECOND_FACTOR, to_challenge(login))
        raise SecondFactorRequired(
            "Send the challenge with a code to /api/v1/auth/login/second-factor",
            extra={"challenge": challenge, "expires_in": self.challenges.seconds},
        )

    async def change_password(
        self, principal: Principal, *, current: str, new: str, origin: Origin
    ) -> None:
        """Set a new password and end the account's other sessions.

        Raises WrongPassword, TooManyAttempts, WeakPassword, and AccountChanged if the account
        changed concurrently.
        """
        password_strength.check(new, principal.user.email)
        confirmed = await self.confirm(principal, current, origin)
        new_hash = await self.hasher.hash(new)
        async with self.database.transaction() as session:
            found = await confirmed.recheck(session)
            await users.set_password(session, found.id, new_hash)
            await audit.record(
                session, Action.PASSWORD_CHANGED, origin, actor=found.id, subject=found.id
            )
            await sessions.revoke_all(
                session,
                found.id,
                origin,
                actor=found.id,
                reason="password-changed",
                keep=principal.session_id,
            )
            await single_use_tokens.void(session, found.id)
            await self.mailer.notify(session, found.id, Notice.PASSWORD_CHANGED)

    async def confirm(self, principal: Principal, password: str, origin: Origin) -> Confirmed:
        """Require the caller's password before a sensitive operation.

        The operation first calls `recheck` of the result, in its own transaction. Raises
        WrongPassword, and TooManyAttempts: a stolen session cannot be used to guess passwords.
        """
        async with self.database.read() as connection:
            found = await users.credentials(connection, user_id=principal.user.id)
        if found is None:
            raise WrongPassword
        await self.confirm_holder(found, password, origin)
        return Confirmed(found.id, principal.session_id, found.state)

    async def confirm_holder(self, found: users.Credentials, password: str, origin: Origin) -> None:
        """Like `confirm`, for an account that was read just now, without a session of it."""
        await self.throttle.attempt(found.email, origin.address)
        try:
            fits = await self.hasher.verify(password, found.password_hash)
        except UNAVAILABLE:
            await self.throttle.give_back(found.email, origin.address)
            raise
        if not fits:
            async with self.database.transaction() as session:
                await audit.record(session, Action.CONFIRM_FAILED, origin, subject=found.id)
            raise WrongPassword
        await self._was_right(found, found.email, origin)

    async def confirm_recent(
        self, principal: Principal, password: str | None, origin: Origin
    ) -> Confirmed:
        """Require recent authentication: a login within AUTH_FRESH_SECONDS, or the password.

        The password is not sufficient if a second factor is on. Raises NotFresh, WrongPassword and
        TooManyAttempts.
        """
        async with self.database.read() as connection:
            age = await sessions.age(connection, principal.session_id)
            found = await users.credentials(connection, user_id=principal.user.id)
        if found and age is not None and age <= timedelta(seconds=self.settings.fresh_seconds):
            return Confirmed(found.id, principal.session_id, found.state)
        if password is None or found is None or found.second_factor:
            raise NotFresh
        await self.confirm_holder(found, password, origin)
        return Confirmed(found.id, principal.session_id, found.state)

    async def _rehash(self, found: users.Credentials, password: str) -> users.Credentials:
        """Rehash the password with the configured cost. Best effort: it never fails a login."""
        try:
            new_hash = await self.hasher.hash(password)
            async with self.database.transaction() as session:
                if await users.replace_password(
                    session, found.id, old_hash=found.password_hash, new_hash=new_hash
                ):
                    found = replace(found, password_hash=new_hash)
        except UNAVAILABLE as error:
            log.info("password is rehashed at the next login", reason=error.detail)
        return found

    async def _record_failure(
        self, found: users.Credentials | None, fits: bool, origin: Origin
    ) -> None:
        """In its own transaction, because the response is an error."""
        failed = "account not active" if fits else "wrong password"
        reason, subject = (failed, found.id) if found else ("no such account", None)
        async with self.database.transaction() as session:
            await audit.record(session, Action.LOGIN_FAILED, origin, subject=subject, reason=reason)

    async def refresh(self, refresh_token: str, origin: Origin) -> TokenRead:
        """The next tokens of a session. Raises InvalidRefreshToken."""
        grant = await sessions.refresh(self.database, self.settings, refresh_token, origin)
        return self.reply(grant)

    async def identify(self, token: str) -> Principal:
        """The active user of this token, if its session is live.

        Raises NotAuthenticated. Queries the database each time, so an ended session is refused from
        the next request on.
        """
        claims = self.tokens.read(token)
        return await self.identify_session(claims.user_id, claims.session_id)

    async def identify_session(self, user_id: uuid.UUID, session_id: uuid.UUID) -> Principal:
        """The active user of a live session. Raises NotAuthenticated."""
        found = await self.callers.ask(Claims(user_id, session_id))
        if found is None or not found.user.is_active:
            raise NotAuthenticated
        return Principal(found.user, session_id, found.stamp)

    async def end_session(
        self, user_id: uuid.UUID, session_id: uuid.UUID, origin: Origin, *, reason: str
    ) -> None:
        """End a session, unless it has ended."""
        with contextlib.suppress(NotFound):
            async with self.database.transaction() as session:
                await sessions.revoke(session, user_id, session_id, origin, reason=reason)

    def reply(self, grant: sessions.Grant) -> TokenRead:
        """The tokens of a refreshable session."""
        assert grant.refresh_token is not None
        token: AccessToken = self.tokens.issue(
            grant.user_id, grant.session_id, methods=grant.methods
        )
        return TokenRead(
            access_token=token.value,
            expires_in=token.seconds,
            refresh_token=grant.refresh_token,
        )


def _ended(before: users.Credentials | None, now: users.Credentials) -> bool:
    ended = now.deactivated_at
    return before is not None and ended is not None and ended != before.deactivated_at
