"""Codes of authenticator apps."""

import base64
import re
from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from fastapi_base.services.identity import totp

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NOW = datetime(2026, 1, 31, 12, 0, 10, tzinfo=UTC)
STEP = int(NOW.timestamp()) // 30


@pytest.mark.parametrize(
    ("seconds", "code"), [(59, "287082"), (1111111109, "081804"), (2000000000, "279037")]
)
def test_vectors_of_rfc_6238(seconds: int, code: str) -> None:
    """Appendix B, the last six of its eight digits."""
    secret = base64.b32encode(b"12345678901234567890").decode()
    now = datetime.fromtimestamp(seconds, UTC)
    assert totp.matching_step(secret, code, now) == seconds // 30


@pytest.mark.parametrize(
    ("drift", "found"), [(-2, None), (-1, STEP - 1), (0, STEP), (1, STEP + 1), (2, None)]
)
def test_clock_may_be_off_by_one_step(drift: int, found: int | None) -> None:
    code = pyotp.TOTP(SECRET).at(NOW + timedelta(seconds=30 * drift))
    assert totp.matching_step(SECRET, code, NOW) == found


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "\u0661" * 6])
def test_malformed_code_never_matches(code: str) -> None:
    assert totp.matching_step(SECRET, code, NOW) is None


def test_address_is_escaped_in_the_uri() -> None:
    uri = totp.uri(SECRET, "a&secret=x@example.com", "our service")
    assert uri.startswith("otpauth://totp/our%20service:a%26secret%3Dx%40example.com?secret=JBSW")
    assert re.search(r"[?&]issuer=our%20service(&|$)", uri)
