"""Passwords and access tokens."""

import base64
import hashlib
import hmac
import time
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import bcrypt
import jwt

from fastapi_base.core.config import AuthSettings
from fastapi_base.core.errors import NotAuthenticated
from fastapi_base.core.executor import BoundedExecutor
from fastapi_base.core.signing import (
    PrivateKey,
    public_key,
    read_private_key,
    read_public_keys,
    secret_key,
)

# Names how the password was prepared, so that the way can be changed and old hashes still be read.
_SCHEME = "hmac-sha256"
_PEPPER = b"fastapi-base/password/1"
_TOKEN_TYPE = "at+jwt"
_LEEWAY = timedelta(seconds=5)
# Some 5 MB.
_KNOWN_TOKENS = 10_000


class PasswordHasher:
    """bcrypt over a keyed digest of the password, in threads of its own.

    bcrypt reads 72 bytes and stops at a NUL; version 5 of the library raises beyond 72. Rejecting
    such passwords would forbid passphrases (36 Cyrillic letters are 72 bytes), so the password goes
    through HMAC-SHA-256 first and bcrypt gets its 44 base64 characters: every byte counts. The key
    is no secret; it keeps our digests apart from plain SHA-256 digests that leaked elsewhere, which
    could else be tried against ours ("password shucking"). Unicode is brought to NFKC (NIST SP
    800-63B, 5.1.1.2), so that one password typed on two keyboards is one password.
    """

    def __init__(self, settings: AuthSettings) -> None:
        self._rounds = settings.bcrypt_rounds
        self._executor = BoundedExecutor(
            "hash", threads=settings.hash_threads, queue=settings.hash_queue, niceness=10
        )
        # Well-formed and matched by nothing; checking it costs what checking a real one costs.
        self._nobody = f"{_SCHEME}$2b${self._rounds:02d}${'.' * 53}"

    @property
    def pending(self) -> int:
        """How many hashes are made or wait."""
        return self._executor.pending

    async def hash(self, password: str) -> str:
        """A salted hash to store. Raises Overloaded when too many wait."""
        return await self._executor.run(hash_password, password, self._rounds)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether the password fits. Takes as long when there is no `stored` hash at all."""
        fits = await self._executor.run(verify_password, password, stored or self._nobody)
        return fits and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether the hash was made at another cost, or in another way, than one made now."""
        return not stored.startswith(f"{_SCHEME}$2b${self._rounds:02d}$")

    def close(self) -> None:
        """Stop the threads."""
        self._executor.close()


def hash_password(password: str, rounds: int) -> str:
    """A salted hash. Blocks for a quarter of a second at 12 rounds."""
    return _SCHEME + bcrypt.hashpw(_digest(password), bcrypt.gensalt(rounds)).decode()


def verify_password(password: str, stored: str) -> bool:
    """Whether the password fits the hash. Blocks as long as hashing."""
    if not stored.startswith(_SCHEME + "$"):
        return False
    return bcrypt.checkpw(_digest(password), stored.removeprefix(_SCHEME).encode())


def _digest(password: str) -> bytes:
    normal = unicodedata.normalize("NFKC", password).encode()
    return base64.b64encode(hmac.digest(_PEPPER, normal, hashlib.sha256))


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and how many seconds it is good for."""

    value: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Claims:
    """Whose token it is, and of which session."""

    user_id: uuid.UUID
    session_id: uuid.UUID


class TokenCodec:
    """Makes and reads JWT access tokens (RFC 9068 type, RFC 8725 practices).

    The algorithm is the key's own and never taken from the token; `kid` is a digest of the key, so
    a token signed with a key that is not ours is refused by name. One key signs, and others may be
    accepted besides it, so that keys can be changed while tokens are out.
    """

    def __init__(self, settings: AuthSettings) -> None:
        """Raises KeyFileError for files of keys that cannot be used."""
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
        self._known: dict[str, tuple[Claims, float]] = {}

    def issue(
        self,
        user_id: uuid.UUID,
        session_id: uuid.UUID,
        now: datetime | None = None,
        *,
        methods: Sequence[str] = (),
    ) -> AccessToken:
        """A token for this user in this session, from `now` on.

        `methods` are how the user was proven (RFC 8176).
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
        """The public keys that tokens are good by (RFC 7517, 5); none where keys are secrets."""
        return {"keys": [jwk for key in self._keys.values() if (jwk := key.jwk())]}

    def read(self, token: str) -> Claims:
        """What a good token says. Raises NotAuthenticated for every kind of bad token.

        Good tokens are remembered until they end: a signature that was right stays right, and each
        caller sends the same token again and again.
        """
        known = self._known.get(token)
        if known is None:
            known = self._verified(token)
            if len(self._known) >= _KNOWN_TOKENS:
                # The one that came first is the next to end.
                del self._known[next(iter(self._known))]
            self._known[token] = known
        claims, end = known
        if time.time() >= end:
            self._known.pop(token, None)
            raise NotAuthenticated
        return claims

    def _verified(self, token: str) -> tuple[Claims, float]:
        """What a good token says, and when it ends (Unix time)."""
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
                leeway=_LEEWAY,
                options={"require": ["iss", "aud", "sub", "sid", "iat", "exp", "jti"]},
            )
            claims = Claims(uuid.UUID(payload["sub"]), uuid.UUID(payload["sid"]))
            return claims, int(payload["exp"]) + _LEEWAY.total_seconds()
        # TypeError, AttributeError: a claim or a kid that is no text.
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError) as error:
            raise NotAuthenticated from error
