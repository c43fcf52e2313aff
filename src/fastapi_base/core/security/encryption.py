"""Encrypts stored values that must be readable again, such as the secret of a second factor."""

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
    """The ciphertext was altered, has another context, or its key is not in the settings."""


class Cipher:
    """AES-256-GCM with keys that HKDF-SHA-256 (RFC 5869) derives from the settings.

    An encrypted value consists of the key's id (8 bytes), a random nonce (12 bytes), and the
    ciphertext with its tag. It can only be decrypted with the context that it was encrypted for, so
    ciphertext cannot be moved between rows. One key encrypts; others may be accepted for
    decryption, to allow rotation.
    """

    def __init__(self, settings: AuthSettings) -> None:
        first = _derive(settings.encryption_key.get_secret_value())
        others = [_derive(key.get_secret_value()) for key in settings.encryption_accepted_keys]
        self._id = _key_id(first)
        self._keys = {_key_id(key): AESGCM(key) for key in (*others, first)}

    def encrypt(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt `plain` for this context."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self._id + nonce + self._keys[self._id].encrypt(nonce, plain, self._id + context)

    def decrypt(self, encrypted: bytes, context: bytes) -> bytes:
        """Decrypt a value for this context. Raises CannotDecrypt."""
        key_id, rest = encrypted[:_ID_BYTES], encrypted[_ID_BYTES:]
        key = self._keys.get(key_id)
        if key is None:
            raise CannotDecrypt(
                "its key is neither AUTH_ENCRYPTION_KEY nor in AUTH_ENCRYPTION_ACCEPTED_KEYS"
            )
        try:
            return key.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], key_id + context)
        except (InvalidTag, ValueError) as error:
            raise CannotDecrypt("it was modified or belongs to another record") from error

    def outdated(self, encrypted: bytes) -> bool:
        """Whether the value was encrypted with another key than the current one."""
        return not encrypted.startswith(self._id)


def _derive(setting: str) -> bytes:
    # No salt: the setting has enough entropy, and all processes must derive the same key.
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=_INFO).derive(
        setting.encode()
    )


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"key-id:" + key).digest()[:_ID_BYTES]
