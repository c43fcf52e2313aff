"""Which passwords are too easy."""

import time

import pytest

from fastapi_base.core.passwords import weakness


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
        "fastapi-base-2026",
        "ｐａｓｓｗｏｒｄ１２３４",  # noqa: RUF001 (full width is meant)
    ],
)
def test_easy(password: str) -> None:
    assert weakness(password, ["ada", "lovelace", "example", "com", "fastapi-base"])


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
def test_good(password: str) -> None:
    assert weakness(password, ["ada", "lovelace", "example", "com", "fastapi-base"]) is None


@pytest.mark.parametrize("hostile", ["a" * 256, "ab" * 128, "password" * 32, "\u0130" * 256])
def test_no_password_takes_long(hostile: str) -> None:
    weakness("warm up the list")
    start = time.thread_time()
    weakness(hostile, ["a" * 60])
    assert time.thread_time() - start < 0.1
