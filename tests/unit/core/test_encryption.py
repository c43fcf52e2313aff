"""What is encrypted opens with the same key, for the same owner, and unchanged only."""

import pytest

from fastapi_base.core.config import AuthSettings
from fastapi_base.core.encryption import CannotDecrypt, Cipher

OLD, NEW = "old-key-" * 5, "new-key-" * 5
# b"secret" for b"ada", as a database has held it since version 1 of the format.
STORED = "6988238c65b471bcb4fda7e55ca715fac9a8e97b03ab7003f363167a13ba3ab5a0b946e2d15d32de07b9"


def cipher(key: str, *accepted: str) -> Cipher:
    return Cipher(
        AuthSettings.model_validate({"encryption_key": key, "encryption_accepted_keys": accepted})
    )


def test_text_opens_for_its_owner_alone() -> None:
    sealed = cipher(OLD).seal(b"secret", b"ada")
    assert b"secret" not in sealed
    assert cipher(OLD).open(sealed, b"ada") == b"secret"
    with pytest.raises(CannotDecrypt, match="belongs elsewhere"):
        cipher(OLD).open(sealed, b"eve")


def test_what_was_stored_before_still_opens() -> None:
    assert cipher(OLD).open(bytes.fromhex(STORED), b"ada") == b"secret"


def test_same_text_looks_different_each_time() -> None:
    assert cipher(OLD).seal(b"secret", b"ada") != cipher(OLD).seal(b"secret", b"ada")


@pytest.mark.parametrize("position", range(8 + 12 + 6 + 16))
def test_change_of_any_byte_is_noticed(position: int) -> None:
    sealed = bytearray(cipher(OLD).seal(b"secret", b"ada"))
    sealed[position] ^= 1
    with pytest.raises(CannotDecrypt):
        cipher(OLD).open(bytes(sealed), b"ada")


@pytest.mark.parametrize("length", [0, 7, 8, 20, 30])
def test_torn_text_is_noticed(length: int) -> None:
    sealed = cipher(OLD).seal(b"secret", b"ada")
    with pytest.raises(CannotDecrypt):
        cipher(OLD).open(sealed[:length], b"ada")


def test_keys_change_with_overlap() -> None:
    sealed = cipher(OLD).seal(b"secret", b"ada")
    both = cipher(NEW, OLD)
    assert both.outdated(sealed)
    assert both.open(sealed, b"ada") == b"secret"
    again = both.seal(b"secret", b"ada")
    assert not both.outdated(again)
    assert cipher(NEW).open(again, b"ada") == b"secret"
    with pytest.raises(CannotDecrypt, match="AUTH_ENCRYPTION_ACCEPTED_KEYS"):
        cipher(NEW).open(sealed, b"ada")
