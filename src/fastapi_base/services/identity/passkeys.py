"""Passkeys (WebAuthn Level 3): public keys in place of passwords, bound to our domain.

The challenge that an authenticator signs is our own single-use token, so the signed answer itself
leads to what was begun. Authenticators must verify their user (PIN, fingerprint): a passkey is two
factors in one, and no other is asked for. Attestation is not: any make will do.
"""

import uuid
from dataclasses import dataclass
from typing import Any

import webauthn
from sqlalchemy import delete, func, insert, select, update
from sqlmodel import col
from webauthn.helpers import (
    options_to_json_dict,
    parse_attestation_object,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AttestationFormat,
    AuthenticationCredential,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    RegistrationCredential,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from fastapi_base.core.caller import Origin
from fastapi_base.core.config_login import PasskeySettings
from fastapi_base.core.errors import (
    Conflict,
    InvalidChallenge,
    InvalidPasskey,
    NotFound,
    PasskeyRefused,
)
from fastapi_base.core.ids import uuid7
from fastapi_base.models.passkey import Passkey
from fastapi_base.models.user import User
from fastapi_base.schemas.passkey import PasskeyOptions, PasskeyRead
from fastapi_base.services import audit, sessions, users
from fastapi_base.services.audit import Action
from fastapi_base.services.auth import Auth, Principal
from fastapi_base.services.challenges import Kind

LIMIT = 20
_READ = (
    col(Passkey.id),
    col(Passkey.name),
    col(Passkey.backed_up),
    col(Passkey.created_at),
    col(Passkey.last_used_at),
)


@dataclass(frozen=True, slots=True)
class Passkeys:
    """Making passkeys, logging in with them, and keeping them in order."""

    auth: Auth
    settings: PasskeySettings

    async def creation_options(
        self, principal: Principal, password: str | None, origin: Origin
    ) -> PasskeyOptions:
        """What a browser needs to make one. Raises NotFresh, WrongPassword, Conflict, NotFound."""
        rp_id, me = self._rp_id(), principal.user
        await self.auth.confirm_recent(principal, password, origin)
        async with self.auth.database.read() as connection:
            known = list(
                await connection.scalars(
                    select(col(Passkey.credential_id)).where(col(Passkey.user_id) == me.id)
                )
            )
        if len(known) >= LIMIT:
            raise Conflict(f"An account has at most {LIMIT} passkeys; remove one first")
        challenge = await self.auth.challenges.issue(
            Kind.PASSKEY_REGISTRATION, {"user": str(me.id)}
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
        """Add a passkey. Raises PasskeyRefused, InvalidChallenge, and Conflict for a known one."""
        rp_id, me = self._rp_id(), principal.user.id
        try:
            credential = parse_registration_credential_json(answer)
            challenge = _challenge(credential)
        except Exception as error:
            raise _refused(error) from error
        begun = await self._take(Kind.PASSKEY_REGISTRATION, challenge)
        if begun["user"] != str(me):
            raise InvalidChallenge
        try:
            _check_format(credential)
            verified = webauthn.verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=rp_id,
                expected_origin=list(self.settings.origins),
                require_user_verification=True,
            )
        except Exception as error:
            raise _refused(error) from error
        async with self.auth.database.transaction() as session:
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
        """What a browser needs to ask for one, whosever it is. Raises NotFound, Unavailable."""
        rp_id = self._rp_id()
        challenge = await self.auth.challenges.issue(Kind.PASSKEY_LOGIN, {})
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
        """A new session, for who has the passkey. Raises InvalidPasskey, InvalidChallenge.

        A counter that went back says that somebody copied the authenticator: that login is refused
        and written down, with the passkey.
        """
        rp_id = self._rp_id()
        try:
            credential = parse_authentication_credential_json(answer)
            challenge = _challenge(credential)
        except Exception as error:  # as in _refused
            raise InvalidPasskey from error
        await self._take(Kind.PASSKEY_LOGIN, challenge)
        async with self.auth.database.transaction() as session:
            row = (
                await session.exec(
                    select(  # type: ignore[call-overload]
                        col(Passkey.id),
                        col(Passkey.user_id),
                        col(Passkey.public_key),
                        col(Passkey.sign_count),
                    )
                    .join(User, col(User.id) == col(Passkey.user_id))
                    .where(col(Passkey.credential_id) == credential.raw_id, users.may_log_in())
                    # The lock: of two answers at once, the second is judged by the new counter.
                    .with_for_update(of=Passkey)
                )
            ).one_or_none()
            outcome = self._judge(credential, challenge, rp_id, row) if row else "unknown"
            if row and isinstance(outcome, int):
                await session.exec(
                    update(Passkey)
                    .where(col(Passkey.id) == row.id)
                    .values(sign_count=outcome, last_used_at=func.now())
                )
            elif row:
                await audit.record(
                    session,
                    Action.PASSKEY_REFUSED,
                    origin,
                    subject=row.user_id,
                    passkey=str(row.id),
                    reason=outcome,
                )
        if row is None or isinstance(outcome, str):
            raise InvalidPasskey
        return await self.auth.begin(
            row.user_id, origin, by="passkey", methods=sessions.PASSKEY, refreshable=refreshable
        )

    async def read(self, principal: Principal) -> list[PasskeyRead]:
        """The caller's passkeys, the newest first."""
        mine = select(*_READ).where(col(Passkey.user_id) == principal.user.id)
        async with self.auth.database.read() as connection:
            rows = (await connection.execute(mine.order_by(col(Passkey.id).desc()))).mappings()
            return [PasskeyRead.model_validate(dict(row)) for row in rows]

    async def rename(self, principal: Principal, passkey_id: uuid.UUID, name: str) -> PasskeyRead:
        """Give a passkey another name. Raises NotFound."""
        statement = (
            update(Passkey)
            .where(col(Passkey.id) == passkey_id, col(Passkey.user_id) == principal.user.id)
            .values(name=name)
            .returning(*_READ)
        )
        async with self.auth.database.transaction() as session:
            row = (await session.exec(statement)).mappings().one_or_none()
        if row is None:
            raise NotFound("There is no such passkey")
        return PasskeyRead.model_validate(dict(row))

    async def remove(self, principal: Principal, passkey_id: uuid.UUID, origin: Origin) -> None:
        """Take a passkey away. Raises NotFound, and NotFresh after a login long ago."""
        me = principal.user.id
        await self.auth.confirm_recent(principal, None, origin)
        async with self.auth.database.transaction() as session:
            removed = await session.scalar(
                delete(Passkey)
                .where(col(Passkey.id) == passkey_id, col(Passkey.user_id) == me)
                .returning(col(Passkey.id))
            )
            if removed is None:
                raise NotFound("There is no such passkey")
            await audit.record(
                session,
                Action.PASSKEY_REMOVED,
                origin,
                actor=me,
                subject=me,
                passkey=str(passkey_id),
            )

    def _judge(
        self, credential: AuthenticationCredential, challenge: bytes, rp_id: str, row: Any
    ) -> int | str:
        """The authenticator's new counter, or why its answer is not right."""
        # Discoverable credentials say whose they are; it must be their owner's.
        if credential.response.user_handle != row.user_id.bytes:
            return "another account's"
        try:
            verified = webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=rp_id,
                expected_origin=list(self.settings.origins),
                credential_public_key=row.public_key,
                credential_current_sign_count=row.sign_count,
                require_user_verification=True,
            )
        except Exception as error:  # as in _refused
            # The library's own words may quote the origin, which a stranger chose.
            return "counter went back" if "sign count" in str(error) else "not verified"
        return verified.new_sign_count

    async def _take(self, kind: Kind, challenge: bytes) -> dict[str, Any]:
        return await self.auth.challenges.take(kind, challenge.decode("ascii", errors="replace"))

    def _rp_id(self) -> str:
        if self.settings.rp_id is None:
            raise NotFound("There are no passkeys here: PASSKEY_RP_ID is not set")
        return self.settings.rp_id


def _challenge(credential: RegistrationCredential | AuthenticationCredential) -> bytes:
    """What was signed. Frames of other sites are refused already here."""
    client_data = parse_client_data_json(credential.response.client_data_json)
    if client_data.cross_origin:
        raise WebAuthnException("The page was in a frame of another site")
    return client_data.challenge


def _check_format(credential: RegistrationCredential) -> None:
    """No certificates to follow: we ask for no attestation, and browsers then send these two."""
    made = parse_attestation_object(credential.response.attestation_object)
    if made.fmt not in {AttestationFormat.NONE, AttestationFormat.PACKED} or made.att_stmt.x5c:
        raise WebAuthnException("Attestation is not taken; ask for none")


def _refused(error: Exception) -> PasskeyRefused:
    """Whatever it is that a stranger's bytes made the library raise: they are refused."""
    said = isinstance(error, WebAuthnException)
    return PasskeyRefused(str(error) if said else "The answer of the authenticator is malformed")
