"""Opaque tokens: random values that are shown once and stored only as a digest."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OpaqueToken:
    """A token for its holder, and the digest that is stored."""

    value: str = field(repr=False)
    digest: bytes


def new_token(prefix: str) -> OpaqueToken:
    """Generate a token with 256 random bits. The prefix shows its kind, to leak scanners too."""
    value = f"{prefix}_{secrets.token_urlsafe(32)}"
    return OpaqueToken(value, digest(value))


def derived_token(prefix: str, from_value: str, salt: bytes) -> OpaqueToken:
    """Derive a token with 256 bits that can be reproduced from another token and the salt.

    It is the HMAC-SHA-256 of the salt, keyed with the other token, which only its holder knows. A
    random salt yields a new token each time.
    """
    made = hmac.digest(from_value.encode(), b"fastapi-base/derived-token/1" + salt, "sha256")
    value = f"{prefix}_{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"
    return OpaqueToken(value, digest(value))


def digest(value: str) -> bytes:
    """The digest that a token is looked up by: SHA-256.

    It needs no salt and no work factor. They slow down guessing, and 256 random bits cannot be
    guessed.
    """
    return hashlib.sha256(value.encode(errors="surrogatepass")).digest()
