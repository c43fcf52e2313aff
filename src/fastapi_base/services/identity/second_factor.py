"""The second factor of an account: set up, ask for at login, take away."""

import uuid
from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.caller import Origin
from fastapi_base.core.encryption import Cipher
from fastapi_base.core.errors import FactorExists, InvalidChallenge, NoFactor, WrongCode
from fastapi_base.schemas.second_factor import CodeProof, RecoveryCodesRead, TotpRead, TotpSecret
from fastapi_base.services import audit, sessions, totp, users
from fastapi_base.services.audit import Action
from fastapi_base.services.auth import Auth, Principal, fingerprint
from fastapi_base.services.challenges import Kind


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """What owners do with their second factor. Guessing codes is throttled like passwords."""

    auth: Auth
    cipher: Cipher

    async def read(self, principal: Principal) -> TotpRead:
        """How far it is."""
        async with self.auth.database.read() as connection:
            found = await totp.state(connection, principal.user.id)
        return TotpRead(
            enabled=found.confirmed_at is not None,
            pending=found.pending,
            confirmed_at=found.confirmed_at,
            recovery_codes_left=found.recovery_codes_left,
        )

    async def enrol(self, principal: Principal, password: str, origin: Origin) -> TotpSecret:
        """A secret that waits for its first code. Raises WrongPassword, FactorExists."""
        me = principal.user
        await self.auth.confirm(principal, password, origin)
        async with self.auth.database.transaction() as session:
            secret = await totp.enrol(session, self.cipher, me.id)
        return TotpSecret(
            secret=secret, uri=totp.uri(secret, me.email, self.auth.settings.totp_issuer)
        )

    async def confirm(self, principal: Principal, code: str, origin: Origin) -> RecoveryCodesRead:
        """Make the secret count. Raises WrongCode, TooManyAttempts, and NoFactor without one."""
        me = principal.user.id
        async with self.auth.database.read() as connection:
            found = await totp.state(connection, me)
        if found.confirmed_at is not None:
            raise FactorExists
        if not found.pending:
            raise NoFactor("Ask for a secret first")
        await self._attempt(me, origin)
        codes: list[str] = []
        async with self.auth.database.transaction() as session:
            if await totp.use_code(session, self.cipher, me, code, confirming=True):
                codes = await totp.replace_recovery_codes(session, me)
                await audit.record(session, Action.TOTP_ENROLLED, origin, actor=me, subject=me)
        if not codes:
            raise WrongCode
        await self._right(me, origin)
        return RecoveryCodesRead(recovery_codes=codes)

    async def replace_recovery_codes(
        self, principal: Principal, password: str, proof: CodeProof, origin: Origin
    ) -> RecoveryCodesRead:
        """New recovery codes instead of the old. Raises WrongPassword, WrongCode, NoFactor."""
        me = principal.user.id
        await self._prove(principal, password, proof, origin)
        async with self.auth.database.transaction() as session:
            codes = await totp.replace_recovery_codes(session, me)
            await audit.record(
                session, Action.RECOVERY_CODES_REPLACED, origin, actor=me, subject=me
            )
        return RecoveryCodesRead(recovery_codes=codes)

    async def disable(
        self, principal: Principal, password: str, proof: CodeProof, origin: Origin
    ) -> None:
        """Take the factor away. Raises WrongPassword, WrongCode, NoFactor."""
        me = principal.user.id
        await self._prove(principal, password, proof, origin)
        async with self.auth.database.transaction() as session:
            await totp.remove(session, me)
            await audit.record(session, Action.TOTP_DISABLED, origin, actor=me, subject=me)

    async def finish_login(
        self, challenge: str, proof: CodeProof, origin: Origin, *, refreshable: bool = True
    ) -> sessions.Grant:
        """A new session, for who passed the first factor and has the second.

        Raises InvalidChallenge, also when the password was changed or the account switched off
        meanwhile, WrongCode (the challenge stays good) and TooManyAttempts.
        """
        begun = await self.auth.challenges.look(Kind.SECOND_FACTOR, challenge)
        user_id = uuid.UUID(begun["user"])
        async with self.auth.database.read() as connection:
            found = await users.credentials(connection, user_id=user_id)
        if (
            found is None
            or not found.is_active
            or fingerprint(found.password_hash) != begun["password"]
        ):
            raise InvalidChallenge
        await self._check(user_id, proof, origin)
        # Of two who are right at once, one gets on.
        await self.auth.challenges.take(Kind.SECOND_FACTOR, challenge)
        methods = (*begun["methods"], *sessions.SECOND_FACTOR)
        return await self.auth.begin(
            user_id,
            origin,
            by=f"{begun['by']}+code",
            methods=methods,
            refreshable=refreshable,
        )

    async def _prove(
        self, principal: Principal, password: str, proof: CodeProof, origin: Origin
    ) -> None:
        await self.auth.confirm(principal, password, origin)
        await self._check(principal.user.id, proof, origin)

    async def _check(self, user_id: uuid.UUID, proof: CodeProof, origin: Origin) -> None:
        """Use the code up. What came of it is committed before an error leaves."""
        await self._attempt(user_id, origin)
        async with self.auth.database.transaction() as session:
            fits = await self._use(session, user_id, proof, origin)
            if not fits:
                await audit.record(session, Action.SECOND_FACTOR_FAILED, origin, subject=user_id)
        if not fits:
            raise WrongCode
        await self._right(user_id, origin)

    async def _use(
        self, session: AsyncSession, user_id: uuid.UUID, proof: CodeProof, origin: Origin
    ) -> bool:
        if proof.code is not None:
            return await totp.use_code(session, self.cipher, user_id, proof.code)
        fits = await totp.use_recovery_code(session, user_id, proof.recovery_code or "")
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
    # Apart from passwords: a right password must not give wrong codes back.
    return f"second-factor:{user_id}"
