"""The format of API keys: `fb_`, 43 random characters and a checksum of 6 characters.

The prefix lets secret scanners find a key in any text. The checksum (CRC-32 in base 62, as in
GitHub's tokens since 2021) lets them, and this service, distinguish a key from similar text without
a database query. It provides no security; the random part does.
"""

import re
import secrets
import zlib

from fastapi_base.core.security.opaque import OpaqueToken, digest

PREFIX = "fb_"
SHOWN = len(PREFIX) + 6
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# 62 ** 43 is more than 2 ** 256.
_RANDOM = 43
_CHECKSUM = 6
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM + _CHECKSUM}}}")


def new_key() -> OpaqueToken:
    """Generate a key for its holder, with the digest to store."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    value = body + checksum(body)
    return OpaqueToken(value, digest(value))


def claims_to_be(token: str) -> bool:
    """Whether the token has the prefix of API keys, valid or not."""
    return token.startswith(PREFIX)


def well_formed(token: str) -> bool:
    """Whether the token has the format and the checksum of a key."""
    if not _FORM.fullmatch(token):
        return False
    return checksum(token[:-_CHECKSUM]) == token[-_CHECKSUM:]


def checksum(body: str) -> str:
    """CRC-32 in base 62, with leading zeros: 6 characters."""
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
