"""Login, and who is calling."""

import contextlib
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog

from fastapi_base.core import passwords
from fastapi_base.core.caller import Origin
from fastapi_base.core.config import AuthSettings
from fastapi_base.core.errors import (
    Conflict,
    EmailNotVerified,
    InvalidCredentials,
    NotAuthenticated,
    NotFound,
    NotFresh,
    Overloaded,
    SecondFactorRequired,
    Unavailable,
    WrongPassword,
)
from fastapi_base.core.scopes import Scope, of_role
from fastapi_base.core.security import AccessToken, Claims, PasswordHasher, TokenCodec
from fastapi_base.db.database import Database
from fastapi_base.schemas.auth import TokenRead
from fastapi_base.schemas.user import UserRead, normal_email
from fastapi_base.services import audit, one_time, sessions, totp, users
from fastapi_base.services.audit import Action
from fastapi_base.services.challenges import Challenges, Kind
from fastapi_base.services.mailer import Mailer, Notice
from fastapi_base.services.throttle import Throttle
from fastapi_base.utils.batching import Batcher

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, and in which session."""

    user: UserRead
    session_id: uuid.UUID

    @property
    def scopes(self) -> frozenset[Scope]:
        """All that the account may do."""
        return of_role(is_superuser=self.user.is_superuser)


type Callers = Batcher[Claims, UserRead | None]


def find_callers(database: Database) -> Callers:
    """Asks the database who is calling, for all requests that come at once in one statement."""

    async def ask(asked: Sequence[Claims]) -> list[UserRead | None]:
        found = await users.in_sessions(database, asked, datetime.now(UTC))
        return [found.get(claims) for claims in asked]

    return Batcher(ask)


@dataclass(frozen=True, slots=True)
class Auth:
    """Login and what follows from it."""

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
        """A new session, for who knows the password.

        Raises InvalidCredentials alike, and after the same hashing, for an unknown address, a wrong
        password and an account that is not active, and TooManyAttempts after many of them. Raises
        SecondFactorRequired, with a challenge, for an account that has one, and EmailNotVerified
        after the right password, where that is required.
        """
        account = normal_email(email) or email
        await self.throttle.attempt(account, origin.address)
        found = None
        if address := normal_email(email):
            async with self.database.read() as connection:
                found = await users.credentials(connection, email=address)
        fits = await self.hasher.verify(password, found.password_hash if found else None)
        if found is None or not fits or not found.is_active:
            await self._record_failure(found, fits, origin)
            if await self.throttle.failed(account):
                async with self.database.transaction() as session:
                    await self.mailer.notify(session, None, Notice.MANY_FAILURES, to=account)
            raise InvalidCredentials
        if await self.throttle.right(account, origin.address):
            async with self.database.transaction() as session:
                await self.mailer.notify(session, found.id, Notice.NEW_NETWORK)
        if self.settings.require_verified_email and not found.is_verified:
            raise EmailNotVerified
        if self.hasher.outdated(found.password_hash):
            found = await self._rehash(found, password)
        await self.ask_second_factor(found, origin, by="password", methods=sessions.PASSWORD)
        return await self.begin(
            found.id, origin, by="password", methods=sessions.PASSWORD, refreshable=refreshable
        )

    async def ask_second_factor(
        self, found: users.Credentials, origin: Origin, *, by: str, methods: tuple[str, ...]
    ) -> None:
        """Raise SecondFactorRequired when this account has one; its challenge goes on from here."""
        async with self.database.read() as connection:
            if not await totp.enabled(connection, found.id):
                return
        challenge = await self.challenges.issue(
            Kind.SECOND_FACTOR,
            {
                "user": str(found.id),
                "password": fingerprint(found.password_hash),
                "by": by,
                "methods": methods,
            },
        )
        async with self.database.transaction() as session:
            await audit.record(
                session, Action.SECOND_FACTOR_ASKED, origin, subject=found.id, after=by
            )
        raise SecondFactorRequired(
            "Send the challenge with a code to /api/v1/auth/login/second-factor",
            extra={"challenge": challenge, "expires_in": self.challenges.seconds},
        )

    async def begin(
        self,
        user_id: uuid.UUID,
        origin: Origin,
        *,
        by: str,
        methods: tuple[str, ...],
        refreshable: bool,
    ) -> sessions.Grant:
        """A new session, for who has proven everything."""
        async with self.database.transaction() as session:
            back = await users.reactivate(session, user_id)
            if back:
                await audit.record(
                    session, Action.REACTIVATED, origin, actor=user_id, subject=user_id
                )
            grant = await sessions.begin(
                session, self.settings, user_id, origin, methods=methods, refreshable=refreshable
            )
            await audit.record(
                session, Action.LOGGED_IN, origin, actor=user_id, subject=user_id, by=by
            )
            if back:
                await self.mailer.notify(session, user_id, Notice.REACTIVATED)
        return grant

    async def change_password(
        self, principal: Principal, *, current: str, new: str, origin: Origin
    ) -> None:
        """Set a new password and end the account's other sessions.

        Raises WrongPassword, TooManyAttempts, WeakPassword, and Conflict when the password was
        changed by somebody else at the same moment.
        """
        passwords.check(new, principal.user.email)
        found = await self.confirm(principal, current, origin)
        new_hash = await self.hasher.hash(new)
        async with self.database.transaction() as session:
            if not await users.replace_password(
                session, found.id, old_hash=found.password_hash, new_hash=new_hash
            ):
                raise Conflict("The password was changed at the same moment")
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
            await one_time.void(session, found.id)
            await self.mailer.notify(session, found.id, Notice.PASSWORD_CHANGED)

    async def confirm(
        self, principal: Principal, password: str, origin: Origin
    ) -> users.Credentials:
        """Have the caller prove again who they are, before something that matters.

        Raises WrongPassword, and TooManyAttempts: a stolen session is no way to guess passwords.
        """
        account = principal.user.email
        await self.throttle.attempt(account, origin.address)
        async with self.database.read() as connection:
            found = await users.credentials(connection, user_id=principal.user.id)
        fits = await self.hasher.verify(password, found.password_hash if found else None)
        if found is None or not fits:
            async with self.database.transaction() as session:
                await audit.record(
                    session, Action.CONFIRM_FAILED, origin, subject=principal.user.id
                )
            raise WrongPassword
        if await self.throttle.right(account, origin.address):
            async with self.database.transaction() as session:
                await self.mailer.notify(session, found.id, Notice.NEW_NETWORK)
        return found

    async def confirm_recent(
        self, principal: Principal, password: str | None, origin: Origin
    ) -> None:
        """Have the caller prove who they are, unless they did at login AUTH_FRESH_SECONDS ago.

        The password alone is not enough where a second factor is on. Raises NotFresh,
        WrongPassword and TooManyAttempts.
        """
        async with self.database.read() as connection:
            begun = await sessions.begun_at(connection, principal.session_id)
            two_factors = await totp.enabled(connection, principal.user.id)
        fresh = timedelta(seconds=self.settings.fresh_seconds)
        if begun is not None and datetime.now(UTC) - begun <= fresh:
            return
        if password is None or two_factors:
            raise NotFresh
        await self.confirm(principal, password, origin)

    async def _rehash(self, found: users.Credentials, password: str) -> users.Credentials:
        """Hash again at the cost that is set now. It can wait, so it never fails a login."""
        try:
            new_hash = await self.hasher.hash(password)
            async with self.database.transaction() as session:
                if await users.replace_password(
                    session, found.id, old_hash=found.password_hash, new_hash=new_hash
                ):
                    found = replace(found, password_hash=new_hash)
        except (Overloaded, Unavailable) as error:
            log.info("password is hashed anew at the next login", reason=error.detail)
        return found

    async def _record_failure(
        self, found: users.Credentials | None, fits: bool, origin: Origin
    ) -> None:
        """In a transaction of its own, since the reply is an error."""
        async with self.database.transaction() as session:
            await audit.record(
                session,
                Action.LOGIN_FAILED,
                origin,
                subject=found.id if found else None,
                reason="no such account"
                if found is None
                else ("account not active" if fits else "wrong password"),
            )

    async def refresh(self, refresh_token: str, origin: Origin) -> TokenRead:
        """The next tokens of a session. Raises InvalidRefreshToken."""
        grant = await sessions.refresh(self.database, self.settings, refresh_token, origin)
        return self.reply(grant)

    async def identify(self, token: str) -> Principal:
        """The active user whose token this is, in a session that goes on.

        Raises NotAuthenticated. It asks the database each time, so a session that was ended is
        refused from the next request on.
        """
        claims = self.tokens.read(token)
        return await self.identify_session(claims.user_id, claims.session_id)

    async def identify_session(self, user_id: uuid.UUID, session_id: uuid.UUID) -> Principal:
        """The active user of a session that goes on. Raises NotAuthenticated."""
        user = await self.callers.ask(Claims(user_id, session_id))
        if user is None or not user.is_active:
            raise NotAuthenticated
        return Principal(user, session_id)

    async def end_session(
        self, user_id: uuid.UUID, session_id: uuid.UUID, origin: Origin, *, reason: str
    ) -> None:
        """End a session, unless it has ended."""
        with contextlib.suppress(NotFound):
            async with self.database.transaction() as session:
                await sessions.revoke(session, user_id, session_id, origin, reason=reason)

    def reply(self, grant: sessions.Grant) -> TokenRead:
        """The tokens of a session that can be refreshed."""
        assert grant.refresh_token is not None
        token: AccessToken = self.tokens.issue(
            grant.user_id, grant.session_id, methods=grant.methods
        )
        return TokenRead(
            access_token=token.value,
            expires_in=token.seconds,
            refresh_token=grant.refresh_token,
        )


def fingerprint(password_hash: str) -> str:
    """What a challenge remembers of the password: a new password makes it void."""
    return hashlib.sha256(password_hash.encode()).hexdigest()
