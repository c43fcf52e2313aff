"""The form of API keys: `fb_`, 43 random characters, 6 of a checksum.

The prefix lets scanners of leaked secrets find a key in any text, and the checksum (CRC-32 in base
62, as GitHub's tokens have had since 2021) lets them, and us, tell a key from what looks like one
without asking a database. It proves nothing: the random part does.
"""

import re
import secrets
import zlib

from fastapi_base.core.opaque import OpaqueToken, digest

PREFIX = "fb_"
SHOWN = len(PREFIX) + 6
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# 62 ** 43 is more than 2 ** 256.
_RANDOM = 43
_CHECKSUM = 6
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM + _CHECKSUM}}}")


def new_key() -> OpaqueToken:
    """A key for its holder, and the digest that is stored."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    value = body + checksum(body)
    return OpaqueToken(value, digest(value))


def claims_to_be(token: str) -> bool:
    """Whether it is meant as an API key, good or not."""
    return token.startswith(PREFIX)


def well_formed(token: str) -> bool:
    """Whether it has the form and the checksum of a key."""
    if not _FORM.fullmatch(token):
        return False
    return checksum(token[:-_CHECKSUM]) == token[-_CHECKSUM:]


def checksum(body: str) -> str:
    """CRC-32 in base 62, with leading zeros."""
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
