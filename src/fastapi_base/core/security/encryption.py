"""Encryption of what is stored and must be read again, such as the secret of a second factor."""

import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fastapi_base.core.config import AuthSettings

_INFO = b"fastapi-base/stored-secrets/1"
_KEY_BYTES = 32
_ID_BYTES = 8
_NONCE_BYTES = 12


class CannotDecrypt(Exception):
    """The text was changed, belongs elsewhere, or its key is not in the settings."""


class Cipher:
    """AES-256-GCM under keys that HKDF-SHA-256 (RFC 5869) derives from the settings.

    A sealed text is the id of its key, a random nonce, and ciphertext with tag. It opens only under
    the context that it was sealed for, so a row cannot be given the text of another. One key seals;
    others may open besides, so that keys can be changed.
    """

    def __init__(self, settings: AuthSettings) -> None:
        first = _derive(settings.encryption_key.get_secret_value())
        others = [_derive(key.get_secret_value()) for key in settings.encryption_accepted_keys]
        self._id = _key_id(first)
        self._keys = {_key_id(key): AESGCM(key) for key in (*others, first)}

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt, for this context."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self._id + nonce + self._keys[self._id].encrypt(nonce, plain, self._id + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt. Raises CannotDecrypt."""
        key_id, rest = sealed[:_ID_BYTES], sealed[_ID_BYTES:]
        key = self._keys.get(key_id)
        if key is None:
            raise CannotDecrypt(
                "its key is neither AUTH_ENCRYPTION_KEY nor in AUTH_ENCRYPTION_ACCEPTED_KEYS"
            )
        try:
            return key.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], key_id + context)
        except (InvalidTag, ValueError) as error:
            raise CannotDecrypt("it was changed, or belongs elsewhere") from error

    def outdated(self, sealed: bytes) -> bool:
        """Whether it was sealed by another key than the one that seals now."""
        return not sealed.startswith(self._id)


def _derive(setting: str) -> bytes:
    # No salt: the setting has its strength already, and every process must derive the same.
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=_INFO).derive(
        setting.encode()
    )


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"key-id:" + key).digest()[:_ID_BYTES]
