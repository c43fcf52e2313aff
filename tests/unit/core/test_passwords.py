"""Which passwords are too weak."""

import time

import pytest

from fastapi_base.core.security.password_strength import weakness

KNOWN = ["ada", "lovelace", "example", "com", "our-service"]


@pytest.mark.parametrize(
    "password",
    [
        "aaaaaaaaaaaa",
        "abababababab",
        "abcdefghijklmnop",
        "987654321098",
        "abcabcabcabcabc",
        "passwordpassword",
        "Password2024!!!",
        "p@ssw0rd12345",
        "!!!!qwertyuiop!!!!",
        "iloveyou1234567",
        "ada.lovelace1815",
        "ada@example.com",
        "our-service-2026",
        "ｐａｓｓｗｏｒｄ１２３４",  # noqa: RUF001 (full width is meant)
    ],
)
def test_weak_passwords_are_rejected(password: str) -> None:
    assert weakness(password, KNOWN)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "another password entirely",
        "Tr0ub4dor and three more",
        "мама мыла раму вчера",
        "ada likes warm marmalade",
        "zK8#vq!mP2xW",
    ],
)
def test_strong_passwords_are_accepted(password: str) -> None:
    assert weakness(password, KNOWN) is None


@pytest.mark.parametrize("hostile", ["a" * 256, "ab" * 128, "password" * 32, "\u0130" * 256])
def test_every_password_is_checked_quickly(hostile: str) -> None:
    weakness("warm up the list")
    start = time.thread_time()
    weakness(hostile, ["a" * 60])
    assert time.thread_time() - start < 0.1
