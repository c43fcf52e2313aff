"""Responses of authenticators (WebAuthn Level 3) and their verification."""

from collections.abc import Iterable
from typing import Any

import structlog
import webauthn
from webauthn.helpers import parse_attestation_object, parse_client_data_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AttestationFormat,
    AuthenticationCredential,
    RegistrationCredential,
)

from fastapi_base.core.errors import PasskeyRefused

log = structlog.stdlib.get_logger(__name__)


def challenge_of(credential: RegistrationCredential | AuthenticationCredential) -> bytes:
    """The signed challenge. Raises WebAuthnException for a frame of another site."""
    client_data = parse_client_data_json(credential.response.client_data_json)
    if client_data.cross_origin:
        raise WebAuthnException("The page was framed by another site")
    return client_data.challenge


def check_format(credential: RegistrationCredential) -> None:
    """Reject certificates: attestation is not requested, so browsers send these two formats."""
    made = parse_attestation_object(credential.response.attestation_object)
    if made.fmt not in {AttestationFormat.NONE, AttestationFormat.PACKED} or made.att_stmt.x5c:
        raise WebAuthnException("Attestation is not supported; request none")


def judge(
    credential: AuthenticationCredential,
    challenge: bytes,
    rp_id: str,
    origins: Iterable[str],
    row: Any,
) -> int | str:
    """The authenticator's new counter, or why the response is invalid. `row` is the passkey's."""
    # Discoverable credentials name their user, who must be the passkey's owner.
    if credential.response.user_handle != row.user_id.bytes:
        return "another account's"
    try:
        verified = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=rp_id,
            expected_origin=list(origins),
            credential_public_key=row.public_key,
            credential_current_sign_count=row.sign_count,
            require_user_verification=True,
        )
    except Exception as error:  # as in refused
        log_unexpected(error)
        # The library's message may quote the origin, which is client input.
        return "counter went back" if "sign count" in str(error) else "not verified"
    return verified.new_sign_count


def refused(error: Exception) -> PasskeyRefused:
    """Convert an exception: malformed client input can make the library raise anything."""
    log_unexpected(error)
    said = isinstance(error, WebAuthnException)
    return PasskeyRefused(str(error) if said else "The response of the authenticator is malformed")


def log_unexpected(error: Exception) -> None:
    """Log an error that is not the library's own: it may be a bug in this code."""
    if not isinstance(error, WebAuthnException):
        log.warning("the response of an authenticator cannot be read", exc_info=error)
