"""Passwords and tokens."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from fastapi_base.core import security
from fastapi_base.core.api_key import new_key
from fastapi_base.core.config import AuthSettings
from fastapi_base.core.errors import NotAuthenticated
from fastapi_base.core.security import (
    Claims,
    PasswordHasher,
    TokenCodec,
    hash_password,
    verify_password,
)
from fastapi_base.utils.pagination import CursorCodec, InvalidCursor, Position

SETTINGS = AuthSettings(bcrypt_rounds=4)
USER = uuid.UUID("0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55")
SESSION = uuid.UUID("0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c56")
KEY = SETTINGS.jwt_secret.get_secret_value()


def test_password_fits_its_own_hash_only() -> None:
    stored = hash_password("correct horse", 4)
    assert verify_password("correct horse", stored)
    assert not verify_password("correct horsf", stored)
    assert stored != hash_password("correct horse", 4)


@pytest.mark.parametrize(
    ("password", "other"),
    [("a" * 72 + "b", "a" * 72 + "c"), ("x\0y", "x\0z"), ("ж" * 40 + "ю", "ж" * 40 + "я")],
    ids=["beyond 72 bytes", "beyond NUL", "beyond 72 bytes of Cyrillic"],
)
def test_every_byte_of_a_password_counts(password: str, other: str) -> None:
    stored = hash_password(password, 4)
    assert verify_password(password, stored)
    assert not verify_password(other, stored)


def test_one_password_in_two_unicode_forms_is_one_password() -> None:
    composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"
    assert verify_password(decomposed, hash_password(composed, 4))


def test_hash_of_an_unknown_scheme_fits_nothing() -> None:
    assert not verify_password("x", "$2b$04$" + "." * 53)


@pytest.mark.anyio
async def test_nobody_has_a_password() -> None:
    hasher = PasswordHasher(SETTINGS)
    try:
        stored = await hasher.hash("correct horse")
        assert await hasher.verify("correct horse", stored)
        assert not await hasher.verify("correct horsf", stored)
        assert not await hasher.verify("correct horse", None)
    finally:
        hasher.close()


def test_hash_of_another_cost_or_way_is_outdated() -> None:
    hasher = PasswordHasher(SETTINGS)
    try:
        assert not hasher.outdated(hash_password("x", SETTINGS.bcrypt_rounds))
        assert hasher.outdated(hash_password("x", SETTINGS.bcrypt_rounds + 1))
        assert hasher.outdated("$2b$04$" + "." * 53)
    finally:
        hasher.close()


def test_token_names_its_user() -> None:
    codec = TokenCodec(SETTINGS)
    token = codec.issue(USER, SESSION)
    assert codec.read(token.value) == Claims(USER, SESSION)
    assert token.seconds == SETTINGS.access_token_seconds


@pytest.mark.parametrize("methods", [(), ("pwd",), ("pwd", "otp", "mfa")])
def test_token_says_how_its_user_was_proven(methods: tuple[str, ...]) -> None:
    token = TokenCodec(SETTINGS).issue(USER, SESSION, methods=methods)
    claims = jwt.decode(token.value, options={"verify_signature": False})
    assert claims.get("amr", []) == list(methods)


def forge(
    *,
    key: str | rsa.RSAPrivateKey = KEY,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
    without: str | None = None,
    **changes: object,
) -> str:
    """A token like ours with something changed."""
    good = TokenCodec(SETTINGS).issue(USER, SESSION).value
    claims = jwt.decode(good, options={"verify_signature": False}) | changes
    header = jwt.get_unverified_header(good) | (headers or {}) | {"alg": algorithm}
    return jwt.encode(
        {name: value for name, value in claims.items() if name != without},
        key,
        algorithm=algorithm,
        headers=header,
    )


def test_forgery_helper_makes_good_tokens_when_nothing_is_changed() -> None:
    assert TokenCodec(SETTINGS).read(forge()) == Claims(USER, SESSION)


@pytest.mark.parametrize(
    "make",
    [
        lambda: "",
        lambda: "not a token",
        lambda: forge(key="", algorithm="none"),
        lambda: forge(key="another-secret-that-is-long-enough-0123456789"),
        lambda: forge(algorithm="HS512", key=KEY * 2),
        lambda: forge(headers={"kid": "other"}),
        lambda: forge(headers={"kid": "../../dev/null"}),
        lambda: forge(headers={"jwk": {"kty": "oct", "k": "aGk"}, "kid": "other"}),
        lambda: forge(headers={"typ": "JWT"}),
        lambda: forge(iss="somebody"),
        lambda: forge(aud="something"),
        lambda: forge(sub="42"),
        lambda: forge(sid="42"),
        lambda: forge(sid=7),
        lambda: forge(nbf=datetime.now(UTC) + timedelta(hours=1)),
        lambda: forge().rpartition(".")[0] + ".",
        lambda: "rt_a-refresh-token-is-no-access-token",
        lambda: new_key().value,
        lambda: CursorCodec([KEY.encode()]).seal(Position((str(USER),)), "users?email"),
        lambda: forge(exp=1),
        lambda: forge(iat=datetime.now(UTC) + timedelta(hours=1)),
        lambda: (
            TokenCodec(SETTINGS).issue(USER, SESSION, datetime.now(UTC) - timedelta(days=1)).value
        ),
        *(
            lambda claim=claim: forge(without=claim)
            for claim in ["iss", "aud", "sub", "sid", "iat", "exp", "jti"]
        ),
    ],
)
def test_bad_token_is_refused(make: Callable[[], str]) -> None:
    with pytest.raises(NotAuthenticated):
        TokenCodec(SETTINGS).read(make())


OLD = AuthSettings.model_validate({"jwt_secret": "old-" * 10})
BOTH = AuthSettings.model_validate({"jwt_secret": "new-" * 10, "jwt_accepted_secrets": "old-" * 10})
NEW = AuthSettings.model_validate({"jwt_secret": "new-" * 10})


def test_remembered_token_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = TokenCodec(SETTINGS)
    token = codec.issue(USER, SESSION)
    assert codec.read(token.value) == codec.read(token.value)
    later = time.time() + token.seconds + 6
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(NotAuthenticated):
        codec.read(token.value)


def test_remembered_token_does_not_vouch_for_others() -> None:
    codec = TokenCodec(SETTINGS)
    token = codec.issue(USER, SESSION).value
    codec.read(token)
    for other in (f"{token}A", token[:-1], token.upper()):
        with pytest.raises(NotAuthenticated):
            codec.read(other)


def test_only_so_many_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "_KNOWN_TOKENS", 2)
    codec = TokenCodec(SETTINGS)
    tokens = [codec.issue(USER, SESSION).value for _ in range(5)]
    for token in (*tokens, *tokens):
        assert codec.read(token) == Claims(USER, SESSION)
    assert len(codec._known) == 2


def test_keys_change_while_tokens_are_out() -> None:
    before = TokenCodec(OLD).issue(USER, SESSION).value
    after = TokenCodec(BOTH).issue(USER, SESSION).value
    assert TokenCodec(BOTH).read(before).user_id == USER
    assert TokenCodec(BOTH).read(after).user_id == USER
    assert TokenCodec(NEW).read(after).user_id == USER
    with pytest.raises(NotAuthenticated):
        TokenCodec(NEW).read(before)


def test_token_under_the_name_of_another_key_of_ours_is_refused() -> None:
    header = jwt.get_unverified_header(TokenCodec(NEW).issue(USER, SESSION).value)
    payload = jwt.decode(
        TokenCodec(OLD).issue(USER, SESSION).value, options={"verify_signature": False}
    )
    mixed = jwt.encode(payload, "old-" * 10, algorithm="HS256", headers=header)
    with pytest.raises(NotAuthenticated):
        TokenCodec(BOTH).read(mixed)


def test_public_key_is_not_taken_for_a_shared_secret() -> None:
    """Key confusion (RFC 8725, 2.1): an RS256 token, or one that claims to be."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(NotAuthenticated):
        TokenCodec(SETTINGS).read(forge(key=private, algorithm="RS256"))


def test_access_token_is_no_cursor() -> None:
    with pytest.raises(InvalidCursor):
        CursorCodec([KEY.encode()]).open(TokenCodec(SETTINGS).issue(USER, SESSION).value, "")
