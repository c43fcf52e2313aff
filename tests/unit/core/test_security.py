"""Passwords and tokens."""

import re
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import bcrypt
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from fastapi_base.core.config import AuthSettings
from fastapi_base.core.errors import NotAuthenticated
from fastapi_base.core.security import tokens as security
from fastapi_base.core.security.api_key import new_key
from fastapi_base.core.security.opaque import derived_token, digest, new_token
from fastapi_base.core.security.password_strength import weakness
from fastapi_base.core.security.passwords import (
    PASSWORD_MAX,
    PasswordHasher,
    hash_password,
    verify_password,
)
from fastapi_base.core.security.tokens import Claims, TokenCodec
from fastapi_base.utils.pagination import CursorCodec, InvalidCursor, Position

SETTINGS = AuthSettings(bcrypt_rounds=4)
USER = uuid.UUID("0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55")
SESSION = uuid.UUID("0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c56")
KEY = SETTINGS.jwt_secret.get_secret_value()


def test_password_matches_only_its_own_hash() -> None:
    stored = hash_password("correct horse", 4)
    assert verify_password("correct horse", stored)
    assert not verify_password("correct horsf", stored)
    assert stored != hash_password("correct horse", 4)


@pytest.mark.parametrize(
    ("password", "other"),
    [("a" * 72 + "b", "a" * 72 + "c"), ("x\0y", "x\0z"), ("ж" * 40 + "ю", "ж" * 40 + "я")],
    ids=["beyond 72 bytes", "beyond NUL", "beyond 72 bytes of Cyrillic"],
)
def test_every_byte_of_a_password_is_significant(password: str, other: str) -> None:
    stored = hash_password(password, 4)
    assert verify_password(password, stored)
    assert not verify_password(other, stored)


def test_passwords_are_unicode_normalised() -> None:
    composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"
    assert verify_password(decomposed, hash_password(composed, 4))


def test_overlong_input_is_not_processed_beyond_the_password_limit() -> None:
    """Normalising this text to NFKC takes minutes: marks of two classes are sorted one by one."""
    stored = hash_password("a" * PASSWORD_MAX, 4)
    start = time.thread_time()
    assert not verify_password("a" + "\u0301" * 500_000 + "\u0323" * 500_000, stored)
    assert weakness("a" + "\u0301" * 500_000 + "\u0323" * 500_000)
    assert time.thread_time() - start < 1
    assert verify_password("a" * PASSWORD_MAX, stored)
    assert not verify_password("a" * (PASSWORD_MAX + 1), stored)
    with pytest.raises(ValueError, match=str(PASSWORD_MAX)):
        hash_password("a" * (PASSWORD_MAX + 1), 4)


def test_lone_surrogate_is_a_wrong_password() -> None:
    assert not verify_password("\ud800", hash_password("correct horse", 4))


@pytest.mark.anyio
async def test_every_attempt_costs_one_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not the account exists or has a password, and however long the text is."""
    checked = []
    check = bcrypt.checkpw

    def counted(password: bytes, stored: bytes) -> bool:
        checked.append((len(password), stored[:7]))
        return check(password, stored)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    hasher = PasswordHasher(SETTINGS)
    try:
        stored = await hasher.hash("correct horse")
        # Accounts created by a login at a provider have "!" as their hash.
        for known in (stored, None, "!"):
            for text in ("wrong", "a\u0323" * 300_000):
                assert not await hasher.verify(text, known)
    finally:
        hasher.close()
    assert checked == [(44, b"$2b$04$")] * 6


def test_hash_of_an_unknown_scheme_never_matches() -> None:
    assert not verify_password("x", "$2b$04$" + "." * 53)


@pytest.mark.anyio
async def test_missing_hash_matches_no_password() -> None:
    hasher = PasswordHasher(SETTINGS)
    try:
        stored = await hasher.hash("correct horse")
        assert await hasher.verify("correct horse", stored)
        assert not await hasher.verify("correct horsf", stored)
        assert not await hasher.verify("correct horse", None)
    finally:
        hasher.close()


def test_hash_with_another_cost_or_scheme_is_outdated() -> None:
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
def test_token_names_its_authentication_methods(methods: tuple[str, ...]) -> None:
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
    """A token like the service's own, with something changed."""
    good = TokenCodec(SETTINGS).issue(USER, SESSION).value
    claims = jwt.decode(good, options={"verify_signature": False}) | changes
    header = jwt.get_unverified_header(good) | (headers or {}) | {"alg": algorithm}
    return jwt.encode(
        {name: value for name, value in claims.items() if name != without},
        key,
        algorithm=algorithm,
        headers=header,
    )


def test_forgery_helper_makes_valid_tokens_without_changes() -> None:
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
        lambda: CursorCodec([KEY.encode()]).encode(Position((str(USER),)), "users?email"),
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
def test_invalid_token_is_refused(make: Callable[[], str]) -> None:
    with pytest.raises(NotAuthenticated):
        TokenCodec(SETTINGS).read(make())


@pytest.mark.parametrize("seconds", [-55, 55])
def test_token_of_a_host_with_clock_skew_is_accepted(seconds: int) -> None:
    codec, now = TokenCodec(SETTINGS), datetime.now(UTC) + timedelta(seconds=seconds)
    assert codec.read(codec.issue(USER, SESSION, now).value) == Claims(USER, SESSION)
    assert codec.read(forge(nbf=now, exp=now)) == Claims(USER, SESSION)


@pytest.mark.parametrize(
    "times",
    [{"iat": 65}, {"nbf": 65}, {"exp": -65}],
    ids=["made later", "good later", "ended"],
)
@pytest.mark.parametrize(("allowed", "taken"), [(60, False), (300, True)])
def test_clock_skew_is_accepted_up_to_the_setting(
    times: dict[str, int], allowed: int, taken: bool
) -> None:
    codec = TokenCodec(SETTINGS.model_copy(update={"clock_skew_seconds": allowed}))
    now = datetime.now(UTC)
    claims: dict[str, Any] = {name: now + timedelta(seconds=value) for name, value in times.items()}
    token = forge(**claims)
    if taken:
        assert codec.read(token) == Claims(USER, SESSION)
    else:
        with pytest.raises(NotAuthenticated):
            codec.read(token)


@pytest.mark.parametrize("seconds", [-1, 301])
def test_clock_skew_setting_is_limited_to_minutes(seconds: int) -> None:
    with pytest.raises(ValueError, match="clock_skew_seconds"):
        AuthSettings(clock_skew_seconds=seconds)


OLD = AuthSettings.model_validate({"jwt_secret": "old-" * 10})
BOTH = AuthSettings.model_validate({"jwt_secret": "new-" * 10, "jwt_accepted_secrets": "old-" * 10})
NEW = AuthSettings.model_validate({"jwt_secret": "new-" * 10})


def test_derived_token_can_be_recomputed_only_by_its_holder() -> None:
    holder, salt = new_token("rt"), bytes(32)
    made = derived_token("rt", holder.value, salt)
    assert made == derived_token("rt", holder.value, salt)
    assert re.fullmatch(r"rt_[\w-]{43}", made.value)
    assert made.digest == digest(made.value)
    others = [
        derived_token("rt", holder.value, bytes(31) + b"x"),
        derived_token("rt", new_token("rt").value, salt),
        derived_token("rt", made.value, salt),
    ]
    assert len({made.value, holder.value, *(other.value for other in others)}) == 5


def test_cached_token_still_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = TokenCodec(SETTINGS)
    token = codec.issue(USER, SESSION)
    assert codec.read(token.value) == codec.read(token.value)
    later = time.time() + token.seconds + SETTINGS.clock_skew_seconds + 1
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(NotAuthenticated):
        codec.read(token.value)


def test_cached_token_does_not_validate_others() -> None:
    codec = TokenCodec(SETTINGS)
    token = codec.issue(USER, SESSION).value
    codec.read(token)
    for other in (f"{token}A", token[:-1], token.upper()):
        with pytest.raises(NotAuthenticated):
            codec.read(other)


def test_token_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "_KNOWN_TOKENS", 2)
    codec = TokenCodec(SETTINGS)
    tokens = [codec.issue(USER, SESSION).value for _ in range(5)]
    for token in (*tokens, *tokens):
        assert codec.read(token) == Claims(USER, SESSION)
    assert len(codec._known) == 2


def test_keys_rotate_while_tokens_are_valid() -> None:
    before = TokenCodec(OLD).issue(USER, SESSION).value
    after = TokenCodec(BOTH).issue(USER, SESSION).value
    assert TokenCodec(BOTH).read(before).user_id == USER
    assert TokenCodec(BOTH).read(after).user_id == USER
    assert TokenCodec(NEW).read(after).user_id == USER
    with pytest.raises(NotAuthenticated):
        TokenCodec(NEW).read(before)


def test_token_with_the_key_id_of_another_key_is_refused() -> None:
    header = jwt.get_unverified_header(TokenCodec(NEW).issue(USER, SESSION).value)
    payload = jwt.decode(
        TokenCodec(OLD).issue(USER, SESSION).value, options={"verify_signature": False}
    )
    mixed = jwt.encode(payload, "old-" * 10, algorithm="HS256", headers=header)
    with pytest.raises(NotAuthenticated):
        TokenCodec(BOTH).read(mixed)


def test_public_key_is_not_accepted_as_a_shared_secret() -> None:
    """Key confusion (RFC 8725, 2.1): an RS256 token, or one that claims to be."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(NotAuthenticated):
        TokenCodec(SETTINGS).read(forge(key=private, algorithm="RS256"))


def test_access_token_is_not_a_cursor() -> None:
    with pytest.raises(InvalidCursor):
        CursorCodec([KEY.encode()]).decode(TokenCodec(SETTINGS).issue(USER, SESSION).value, "")
