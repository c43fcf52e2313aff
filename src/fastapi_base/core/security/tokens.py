"""Access tokens: signed, short-lived, and bound to a session (RFC 9068)."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from fastapi_base.core.config import AuthSettings
from fastapi_base.core.errors import NotAuthenticated
from fastapi_base.core.security.signing import (
    PrivateKey,
    public_key,
    read_private_key,
    read_public_keys,
    secret_key,
)

_TOKEN_TYPE = "at+jwt"
# About 5 MB.
_KNOWN_TOKENS = 10_000


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and its lifetime in seconds."""

    value: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Claims:
    """The account and the session that a token belongs to."""

    user_id: uuid.UUID
    session_id: uuid.UUID


class TokenCodec:
    """Issues and verifies JWT access tokens (RFC 9068 type, RFC 8725 practices).

    The algorithm belongs to the key and is never taken from the token. `kid` is a digest of the
    key, so a token signed with an unknown key is refused by its `kid`. One key signs; others may be
    accepted, so that keys can be rotated while tokens are in use. The clocks of issuing and
    verifying hosts may differ by AUTH_CLOCK_SKEW_SECONDS.
    """

    def __init__(self, settings: AuthSettings) -> None:
        """Load the keys. Raises KeyFileError for key files that cannot be used."""
        secret = settings.jwt_secret.get_secret_value()
        accepted = [secret_key(other.get_secret_value()) for other in settings.jwt_accepted_secrets]
        if settings.jwt_accepted_keys_file:
            accepted += read_public_keys(settings.jwt_accepted_keys_file)
        self._signs_with: bytes | PrivateKey
        if settings.jwt_private_key_file and settings.jwt_algorithm != "HS256":
            private = read_private_key(settings.jwt_private_key_file, settings.jwt_algorithm)
            self._signs_with, own = private, public_key(private.public_key())
        else:
            self._signs_with, own = secret.encode(), secret_key(secret)
        self._own = own
        self._keys = {key.id: key for key in (*accepted, own)}
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._seconds = settings.access_token_seconds
        self._skew = settings.clock_skew_seconds
        self._known: dict[str, tuple[Claims, float]] = {}

    def issue(
        self,
        user_id: uuid.UUID,
        session_id: uuid.UUID,
        now: datetime | None = None,
        *,
        methods: Sequence[str] = (),
    ) -> AccessToken:
        """Issue a token for this user and session, valid from `now`.

        `methods` are authentication method references (RFC 8176).
        """
        start = now or datetime.now(UTC)
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user_id),
            "sid": str(session_id),
            "iat": start,
            "exp": start + timedelta(seconds=self._seconds),
            "jti": uuid.uuid4().hex,
        }
        if methods:
            claims["amr"] = list(methods)
        headers = {"kid": self._own.id, "typ": _TOKEN_TYPE}
        value = jwt.encode(claims, self._signs_with, algorithm=self._own.algorithm, headers=headers)
        return AccessToken(value, self._seconds)

    def key_set(self) -> dict[str, list[dict[str, Any]]]:
        """The public keys that verify tokens (RFC 7517, 5); empty for shared secrets."""
        return {"keys": [jwk for key in self._keys.values() if (jwk := key.jwk())]}

    def read(self, token: str) -> Claims:
        """Verify a token and return its claims. Raises NotAuthenticated for any invalid token.

        Verified tokens are cached until they expire: a valid signature stays valid, and callers
        send the same token repeatedly.
        """
        known = self._known.get(token)
        if known is None:
            known = self._verified(token)
            if len(self._known) >= _KNOWN_TOKENS:
                # The oldest entry is the next to expire.
                del self._known[next(iter(self._known))]
            self._known[token] = known
        claims, end = known
        if time.time() >= end:
            self._known.pop(token, None)
            raise NotAuthenticated
        return claims

    def _verified(self, token: str) -> tuple[Claims, float]:
        """The claims of a valid token, and its expiry time (Unix time)."""
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(header.get("kid", ""))
            if key is None or header.get("typ") != _TOKEN_TYPE:
                raise NotAuthenticated
            payload = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._skew,
                options={"require": ["iss", "aud", "sub", "sid", "iat", "exp", "jti"]},
            )
            claims = Claims(uuid.UUID(payload["sub"]), uuid.UUID(payload["sid"]))
            return claims, int(payload["exp"]) + self._skew
        # TypeError, AttributeError: a claim or `kid` that is not a string.
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError) as error:
            raise NotAuthenticated from error
