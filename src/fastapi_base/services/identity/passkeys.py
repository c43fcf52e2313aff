"""Passkeys (WebAuthn Level 3): public keys instead of passwords, bound to the service's domain.

The challenge that an authenticator signs is a single-use token of this service, so the signed
response itself identifies the operation. Authenticators must verify their user (PIN, fingerprint):
a passkey counts as two factors, and no other is required. Attestation is not requested: any model
is accepted.
"""

import uuid
from dataclasses import dataclass
from typing import Any

import webauthn
from sqlalchemy import delete, func, insert, select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from webauthn.helpers import (
    options_to_json_dict,
    parse_authentication_credential_json,
    parse_registration_credential_json,
)
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from fastapi_base.core.config.passkeys import PasskeySettings
from fastapi_base.core.errors import (
    AccountChanged,
    Conflict,
    InvalidPasskey,
    NotFound,
)
from fastapi_base.core.ids import uuid7
from fastapi_base.core.security.caller import Origin
from fastapi_base.models.identity.passkey import Passkey
from fastapi_base.schemas.identity.passkey import PasskeyOptions, PasskeyRead
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import ownership, sessions, users
from fastapi_base.services.identity.admission import admit
from fastapi_base.services.identity.auth import Auth, Principal
from fastapi_base.services.identity.authentication import Authentication, Confirmed
from fastapi_base.services.identity.challenges import ChallengeKind
from fastapi_base.services.identity.passkey_answers import (
    challenge_of,
    check_format,
    judge,
    log_unexpected,
    refused,
)

LIMIT = 20
_TOO_MANY = f"An account has at most {LIMIT} passkeys; remove one first"
_READ = (
    col(Passkey.id),
    col(Passkey.name),
    col(Passkey.backed_up),
    col(Passkey.created_at),
    col(Passkey.last_used_at),
)


@dataclass(frozen=True, slots=True)
class Passkeys:
    """Registration of passkeys, login with them, and their management."""

    auth: Auth
    settings: PasskeySettings

    async def creation_options(
        self, principal: Principal, password: str | None, origin: Origin
    ) -> PasskeyOptions:
        """The options with which a browser creates a passkey.

        Raises NotFresh, WrongPassword, Conflict, NotFound and EmailNotVerified.
        """
        rp_id, me = self._rp_id(), principal.user
        ownership.require_verified(self.auth, me)
        confirmed = await self.auth.confirm_recent(principal, password, origin)
        async with self.auth.database.read() as connection:
            known = list(
                await connection.scalars(
                    select(col(Passkey.credential_id)).where(col(Passkey.user_id) == me.id)
                )
            )
        if len(known) >= LIMIT:
            raise Conflict(_TOO_MANY)
        challenge = await self.auth.challenges.issue(
            ChallengeKind.PASSKEY_REGISTRATION, confirmed.to_challenge()
        )
        options = webauthn.generate_registration_options(
            rp_id=rp_id,
            rp_name=self.settings.rp_name,
            user_id=me.id.bytes,
            user_name=me.email,
            challenge=challenge.encode(),
            timeout=self.auth.challenges.seconds * 1000,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=key) for key in known],
        )
        return PasskeyOptions(public_key=options_to_json_dict(options))

    async def register(
        self, principal: Principal, name: str, answer: dict[str, Any], origin: Origin
    ) -> PasskeyRead:
        """Add a passkey.

        Raises PasskeyRefused, InvalidChallenge, EmailNotVerified, Conflict for a known passkey or
        one too many, and AccountChanged if the account changed since the options were issued.
        """
        rp_id, me = self._rp_id(), principal.user.id
        try:
            credential = parse_registration_credential_json(answer)
            challenge = challenge_of(credential)
        except Exception as error:
            raise refused(error) from error
        stored = await self._take(ChallengeKind.PASSKEY_REGISTRATION, challenge)
        confirmed = Confirmed.from_challenge(stored, me, principal.session_id)
        try:
            check_format(credential)
            verified = webauthn.verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=rp_id,
                expected_origin=list(self.settings.origins),
                require_user_verification=True,
            )
        except Exception as error:
            raise refused(error) from error
        async with self.auth.database.transaction() as session:
            ownership.require_verified(self.auth, await confirmed.recheck(session))
            # Under the lock: options may be collected and used later, or all at once.
            count = await session.scalar(select(func.count()).where(col(Passkey.user_id) == me))
            if (count or 0) >= LIMIT:
                raise Conflict(_TOO_MANY)
            result = await session.exec(
                insert(Passkey)
                .values(
                    id=uuid7(),
                    user_id=me,
                    credential_id=verified.credential_id,
                    public_key=verified.credential_public_key,
                    sign_count=verified.sign_count,
                    name=name,
                    backed_up=verified.credential_backed_up,
                )
                .returning(*_READ)
            )
            added = PasskeyRead.model_validate(dict(result.mappings().one()))
            await audit.record(
                session, Action.PASSKEY_ADDED, origin, actor=me, subject=me, passkey=str(added.id)
            )
        return added

    async def request_options(self) -> PasskeyOptions:
        """The options with which a browser requests a passkey. Raises NotFound and Unavailable."""
        rp_id = self._rp_id()
        challenge = await self.auth.challenges.issue(ChallengeKind.PASSKEY_LOGIN, {})
        options = webauthn.generate_authentication_options(
            rp_id=rp_id,
            challenge=challenge.encode(),
            timeout=self.auth.challenges.seconds * 1000,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return PasskeyOptions(public_key=options_to_json_dict(options))

    async def log_in(
        self, answer: dict[str, Any], origin: Origin, *, refreshable: bool
    ) -> sessions.Grant:
        """Create a session for the holder of a passkey.

        Raises InvalidPasskey, InvalidChallenge, and EmailNotVerified if logins require a verified
        address.

        A counter that decreased indicates a cloned authenticator: the login is refused and audited,
        with the passkey.
        """
        self._rp_id()
        try:
            credential = parse_authentication_credential_json(answer)
            challenge = challenge_of(credential)
        except Exception as error:  # as in refused
            log_unexpected(error)
            raise InvalidPasskey from error
        await self._take(ChallengeKind.PASSKEY_LOGIN, challenge)
        async with self.auth.database.read() as connection:
            owner = await connection.scalar(
                select(col(Passkey.user_id)).where(col(Passkey.credential_id) == credential.raw_id)
            )
            account = await users.credentials(connection, user_id=owner) if owner else None
        if account is None:
            raise InvalidPasskey
        authentication = Authentication(account, by="passkey", methods=sessions.PASSKEY)
        grant = None
        try:
            async with self.auth.database.transaction() as session:
                if await self._use(session, account.id, credential, challenge, origin):
                    given = (self.auth.settings, self.auth.mailer, authentication, origin)
                    grant = await admit(session, *given, refreshable=refreshable)
        except AccountChanged as error:
            raise InvalidPasskey from error
        if grant is None:
            raise InvalidPasskey
        return grant

    async def _use(
        self,
        session: AsyncSession,
        user_id: uuid.UUID,
        credential: AuthenticationCredential,
        challenge: bytes,
        origin: Origin,
    ) -> bool:
        """Whether the response is valid. Stores its counter, or audits the refusal."""
        # The lock: of two concurrent responses, the second is checked against the new counter.
        await users.lock(session, user_id)
        statement = select(
            col(Passkey.id),
            col(Passkey.user_id),
            col(Passkey.public_key),
            col(Passkey.sign_count),
        ).where(col(Passkey.credential_id) == credential.raw_id, col(Passkey.user_id) == user_id)
        row = (await (await session.connection()).execute(statement)).one_or_none()
        if row is None:
            return False
        outcome = judge(credential, challenge, self._rp_id(), self.settings.origins, row)
        if isinstance(outcome, int):
            await session.exec(
                update(Passkey)
                .where(col(Passkey.id) == row.id)
                .values(sign_count=outcome, last_used_at=func.now())
            )
            return True
        await audit.record(
            session,
            Action.PASSKEY_REFUSED,
            origin,
            subject=user_id,
            passkey=str(row.id),
            reason=outcome,
        )
        return False

    async def read(self, principal: Principal) -> list[PasskeyRead]:
        """The caller's passkeys, newest first."""
        mine = select(*_READ).where(col(Passkey.user_id) == principal.user.id)
        async with self.auth.database.read() as connection:
            newest = mine.order_by(col(Passkey.id).desc()).limit(LIMIT)
            rows = (await connection.execute(newest)).mappings()
            return [PasskeyRead.model_validate(dict(row)) for row in rows]

    async def rename(self, principal: Principal, passkey_id: uuid.UUID, name: str) -> PasskeyRead:
        """Rename a passkey. Raises NotFound."""
        statement = (
            update(Passkey)
            .where(col(Passkey.id) == passkey_id, col(Passkey.user_id) == principal.user.id)
            .values(name=name)
            .returning(*_READ)
        )
        async with self.auth.database.transaction() as session:
            row = (await session.exec(statement)).mappings().one_or_none()
        if row is None:
            raise NotFound("The passkey does not exist")
        return PasskeyRead.model_validate(dict(row))

    async def remove(self, principal: Principal, passkey_id: uuid.UUID, origin: Origin) -> None:
        """Remove a passkey. Raises NotFound, and NotFresh if the login is not recent."""
        me = principal.user.id
        confirmed = await self.auth.confirm_recent(principal, None, origin)
        async with self.auth.database.transaction() as session:
            await confirmed.recheck(session)
            removed = await session.scalar(
                delete(Passkey)
                .where(col(Passkey.id) == passkey_id, col(Passkey.user_id) == me)
                .returning(col(Passkey.id))
            )
            if removed is None:
                raise NotFound("The passkey does not exist")
            await audit.record(
                session,
                Action.PASSKEY_REMOVED,
                origin,
                actor=me,
                subject=me,
                passkey=str(passkey_id),
            )

    async def _take(self, kind: ChallengeKind, challenge: bytes) -> dict[str, Any]:
        return await self.auth.challenges.take(kind, challenge.decode("ascii", errors="replace"))

    def _rp_id(self) -> str:
        if self.settings.rp_id is None:
            raise NotFound("Passkeys are disabled; the operator must set PASSKEY_RP_ID")
        return self.settings.rp_id
