"""Ciphertext decrypts only with the same key, for the same owner, and unmodified."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fastapi_base.core.config import AuthSettings
from fastapi_base.core.security.encryption import CannotDecrypt, Cipher

OLD, NEW = "old-key-" * 5, "new-key-" * 5
# The format of stored values, version 1, written down independently of the code. A change of it
# would make the values in databases unreadable.
INFO = b"fastapi-base/stored-secrets/1"


def stored(plain: bytes, context: bytes, setting: str) -> bytes:
    """A value as databases have stored it since version 1 of the format."""
    # HKDF-SHA-256 (RFC 5869) of one block, without salt.
    pseudorandom = hmac.digest(bytes(32), setting.encode(), "sha256")
    key = hmac.digest(pseudorandom, INFO + b"\x01", "sha256")
    key_id = hashlib.sha256(b"key-id:" + key).digest()[:8]
    nonce = bytes(range(12))
    return key_id + nonce + AESGCM(key).encrypt(nonce, plain, key_id + context)


def cipher(key: str, *accepted: str) -> Cipher:
    return Cipher(
        AuthSettings.model_validate({"encryption_key": key, "encryption_accepted_keys": accepted})
    )


def test_text_decrypts_only_for_its_owner() -> None:
    encrypted = cipher(OLD).encrypt(b"secret", b"ada")
    assert b"secret" not in encrypted
    assert cipher(OLD).decrypt(encrypted, b"ada") == b"secret"
    with pytest.raises(CannotDecrypt, match="belongs to another record"):
        cipher(OLD).decrypt(encrypted, b"eve")


def test_previously_stored_ciphertext_still_decrypts() -> None:
    assert cipher(OLD).decrypt(stored(b"secret", b"ada", OLD), b"ada") == b"secret"


def test_equal_texts_encrypt_differently() -> None:
    assert cipher(OLD).encrypt(b"secret", b"ada") != cipher(OLD).encrypt(b"secret", b"ada")


@pytest.mark.parametrize("position", range(8 + 12 + 6 + 16))
def test_any_changed_byte_is_detected(position: int) -> None:
    encrypted = bytearray(cipher(OLD).encrypt(b"secret", b"ada"))
    encrypted[position] ^= 1
    with pytest.raises(CannotDecrypt):
        cipher(OLD).decrypt(bytes(encrypted), b"ada")


@pytest.mark.parametrize("length", [0, 7, 8, 20, 30])
def test_truncated_ciphertext_is_detected(length: int) -> None:
    encrypted = cipher(OLD).encrypt(b"secret", b"ada")
    with pytest.raises(CannotDecrypt):
        cipher(OLD).decrypt(encrypted[:length], b"ada")


def test_keys_rotate_with_overlap() -> None:
    encrypted = cipher(OLD).encrypt(b"secret", b"ada")
    both = cipher(NEW, OLD)
    assert both.outdated(encrypted)
    assert both.decrypt(encrypted, b"ada") == b"secret"
    again = both.encrypt(b"secret", b"ada")
    assert not both.outdated(again)
    assert cipher(NEW).decrypt(again, b"ada") == b"secret"
    with pytest.raises(CannotDecrypt, match="AUTH_ENCRYPTION_ACCEPTED_KEYS"):
        cipher(NEW).decrypt(encrypted, b"ada")
