"""Opaque tokens: random, handed out once, kept only as a digest."""

import hashlib
import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OpaqueToken:
    """A token for its holder, and the digest that is stored."""

    value: str = field(repr=False)
    digest: bytes


def new_token(prefix: str) -> OpaqueToken:
    """A token with 256 random bits. The prefix tells kinds apart, also for scanners of leaks."""
    value = f"{prefix}_{secrets.token_urlsafe(32)}"
    return OpaqueToken(value, digest(value))


def digest(value: str) -> bytes:
    """What to look a token up by: SHA-256.

    No salt and no work factor: they slow guessing down, and 256 random bits cannot be guessed.
    """
    return hashlib.sha256(value.encode(errors="surrogatepass")).digest()
