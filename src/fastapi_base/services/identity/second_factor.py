"""The second factor of an account: set up, verify at login, remove."""

import uuid
from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import (
    AccountChanged,
    FactorExists,
    InvalidChallenge,
    NoFactor,
    WrongCode,
)
from fastapi_base.core.security.caller import Origin
from fastapi_base.core.security.encryption import Cipher
from fastapi_base.schemas.identity.second_factor import (
    RecoveryCodesRead,
    SecondFactorCode,
    TotpRead,
    TotpSecret,
)
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import ownership, sessions, totp, users
from fastapi_base.services.identity.admission import fingerprint
from fastapi_base.services.identity.auth import Auth, Principal
from fastapi_base.services.identity.authentication import Authentication, Confirmed
from fastapi_base.services.identity.challenges import ChallengeKind


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """Operations of owners on their second factor. Guessing codes is throttled like passwords."""

    auth: Auth
    cipher: Cipher

    async def read(self, principal: Principal) -> TotpRead:
        """The state of the second factor."""
        async with self.auth.database.read() as connection:
            found = await totp.state(connection, principal.user.id)
        return TotpRead(
            enabled=found.confirmed_at is not None,
            pending=found.pending,
            confirmed_at=found.confirmed_at,
            recovery_codes_left=found.recovery_codes_left,
        )

    async def enrol(self, principal: Principal, password: str, origin: Origin) -> TotpSecret:
        """A secret that waits for its first code.

        Raises WrongPassword, FactorExists and EmailNotVerified.
        """
        me = principal.user
        ownership.require_verified(self.auth, me)
        confirmed = await self.auth.confirm(principal, password, origin)
        async with self.auth.database.transaction() as session:
            ownership.require_verified(self.auth, await confirmed.recheck(session))
            secret = await totp.enrol(session, self.cipher, me.id)
        return TotpSecret(
            secret=secret, uri=totp.uri(secret, me.email, self.auth.settings.totp_issuer)
        )

    async def confirm(self, principal: Principal, code: str, origin: Origin) -> RecoveryCodesRead:
        """Activate the secret. Raises WrongCode, TooManyAttempts, and NoFactor without one."""
        me = principal.user.id
        async with self.auth.database.read() as connection:
            found = await totp.state(connection, me)
        if found.confirmed_at is not None:
            raise FactorExists
        if not found.pending:
            raise NoFactor("Request a secret first")
        await self._attempt(me, origin)
        codes: list[str] = []
        async with self.auth.database.transaction() as session:
            await ownership.lock_verified(session, self.auth, principal)
            if await totp.use_code(session, self.cipher, me, code, confirming=True):
                codes = await totp.replace_recovery_codes(session, me)
                await audit.record(session, Action.TOTP_ENROLLED, origin, actor=me, subject=me)
        if not codes:
            raise WrongCode
        await self._right(me, origin)
        return RecoveryCodesRead(recovery_codes=codes)

    async def replace_recovery_codes(
        self, principal: Principal, password: str, code: SecondFactorCode, origin: Origin
    ) -> RecoveryCodesRead:
        """Replace the recovery codes. Raises WrongPassword, WrongCode and NoFactor."""
        me = principal.user.id
        confirmed = await self._confirm_both(principal, password, code, origin)
        async with self.auth.database.transaction() as session:
            # Under the lock: of two concurrent calls the second replaces the codes of the first.
            found = await confirmed.recheck(session)
            ownership.require_verified(self.auth, found)
            if found.second_factor is None:
                raise NoFactor
            codes = await totp.replace_recovery_codes(session, me)
            await audit.record(
                session, Action.RECOVERY_CODES_REPLACED, origin, actor=me, subject=me
            )
        return RecoveryCodesRead(recovery_codes=codes)

    async def disable(
        self, principal: Principal, password: str, code: SecondFactorCode, origin: Origin
    ) -> None:
        """Remove the second factor. Raises WrongPassword, WrongCode and NoFactor."""
        me = principal.user.id
        confirmed = await self._confirm_both(principal, password, code, origin)
        async with self.auth.database.transaction() as session:
            await confirmed.recheck(session)
            await totp.remove(session, me)
            await audit.record(session, Action.TOTP_DISABLED, origin, actor=me, subject=me)

    async def finish_login(
        self, challenge: str, code: SecondFactorCode, origin: Origin, *, refreshable: bool = True
    ) -> sessions.Grant:
        """Create a session for a caller who passed the first factor and has the second.

        Raises InvalidChallenge, also if the account changed meanwhile (password, second factor,
        deactivation, link to the provider), WrongCode (the challenge stays valid) and
        TooManyAttempts.
        """
        stored = await self.auth.challenges.look(ChallengeKind.SECOND_FACTOR, challenge)
        user_id = uuid.UUID(stored["user"])
        async with self.auth.database.read() as connection:
            found = await users.credentials(connection, user_id=user_id)
        if (
            found is None
            or not found.is_active
            or fingerprint(found.password_hash) != stored["password"]
            # A previous release stores no state.
            or found.state != stored.get("state", found.state)
        ):
            raise InvalidChallenge
        await self._check(user_id, code, origin)
        # Of two concurrent correct codes, one succeeds.
        await self.auth.challenges.take(ChallengeKind.SECOND_FACTOR, challenge)
        passed = Authentication(
            found,
            by=f"{stored['by']}+code",
            methods=(*stored["methods"], *sessions.SECOND_FACTOR),
            identity=uuid.UUID(link) if (link := stored.get("identity")) else None,  # slice: oidc
        )
        try:
            return await self.auth.enter(passed, origin, refreshable=refreshable)
        except AccountChanged as error:
            raise InvalidChallenge from error

    async def _confirm_both(
        self, principal: Principal, password: str, code: SecondFactorCode, origin: Origin
    ) -> Confirmed:
        confirmed = await self.auth.confirm(principal, password, origin)
        await self._check(principal.user.id, code, origin)
        return confirmed

    async def _check(self, user_id: uuid.UUID, code: SecondFactorCode, origin: Origin) -> None:
        """Consume the code. The outcome is committed before an error is raised."""
        await self._attempt(user_id, origin)
        async with self.auth.database.transaction() as session:
            fits = await self._use(session, user_id, code, origin)
            if not fits:
                await audit.record(session, Action.SECOND_FACTOR_FAILED, origin, subject=user_id)
        if not fits:
            raise WrongCode
        await self._right(user_id, origin)

    async def _use(
        self, session: AsyncSession, user_id: uuid.UUID, code: SecondFactorCode, origin: Origin
    ) -> bool:
        if code.code is not None:
            return await totp.use_code(session, self.cipher, user_id, code.code)
        fits = await totp.use_recovery_code(session, user_id, code.recovery_code or "")
        if fits:
            await audit.record(
                session, Action.RECOVERY_CODE_USED, origin, actor=user_id, subject=user_id
            )
        return fits

    async def _attempt(self, user_id: uuid.UUID, origin: Origin) -> None:
        await self.auth.throttle.attempt(_account(user_id), origin.address)

    async def _right(self, user_id: uuid.UUID, origin: Origin) -> None:
        await self.auth.throttle.right(_account(user_id), origin.address)


def _account(user_id: uuid.UUID) -> str:
    # Counted apart from passwords: a correct password must not give back wrong codes.
    return f"second-factor:{user_id}"
