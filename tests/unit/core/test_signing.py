"""Tokens signed with key pairs."""

import hashlib
import hmac
import json
import uuid
from itertools import pairwise
from pathlib import Path

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt import PyJWK

from fastapi_base.core.config import AuthSettings, Settings, SettingsError, load_settings
from fastapi_base.core.errors import NotAuthenticated
from fastapi_base.core.security import rotation
from fastapi_base.core.security.signing import Algorithm, new_private_key, pem, public_key
from fastapi_base.core.security.tokens import TokenCodec
from fastapi_base.main import create_app

USER, SESSION = uuid.uuid4(), uuid.uuid4()
PAIRS: list[Algorithm] = ["EdDSA", "ES256", "RS256"]


def settings(folder: Path, algorithm: Algorithm, **more: object) -> AuthSettings:
    file = folder / f"{algorithm}.pem"
    if not file.exists():
        file.write_text(pem(new_private_key(algorithm)))
    given = {"jwt_algorithm": algorithm, "jwt_private_key_file": file, **more}
    return AuthSettings.model_validate(given)


@pytest.mark.parametrize("algorithm", PAIRS)
def test_others_can_verify_tokens_with_the_key_set(tmp_path: Path, algorithm: Algorithm) -> None:
    codec = TokenCodec(settings(tmp_path, algorithm))
    token = codec.issue(USER, SESSION).value
    assert codec.read(token).user_id == USER
    [key] = codec.key_set()["keys"]
    assert (key["alg"], key["use"]) == (algorithm, "sig")
    assert not {"d", "p", "q", "k"} & key.keys()
    header = jwt.get_unverified_header(token)
    assert (header["kid"], header["alg"]) == (key["kid"], algorithm)
    claims = jwt.decode(token, PyJWK(key), algorithms=[algorithm], audience="fastapi-base-api")
    assert claims["sub"] == str(USER)


def test_key_ids_are_thumbprints() -> None:
    """The example of RFC 8037, appendix A.3."""
    key = serialization.load_pem_public_key(
        b"-----BEGIN PUBLIC KEY-----\n"
        b"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
        b"-----END PUBLIC KEY-----\n"
    )
    assert public_key(key).id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"  # type: ignore[arg-type]


def test_shared_secrets_are_not_published() -> None:
    assert TokenCodec(AuthSettings()).key_set() == {"keys": []}


@pytest.mark.parametrize("algorithm", PAIRS)
def test_published_key_cannot_sign_as_a_shared_secret(tmp_path: Path, algorithm: Algorithm) -> None:
    """A published key must not sign: HS256 with the public key, under its own key ID."""
    codec = TokenCodec(settings(tmp_path, algorithm))
    good = codec.issue(USER, SESSION).value
    private = serialization.load_pem_private_key((tmp_path / f"{algorithm}.pem").read_bytes(), None)
    secret = pem(private.public_key()).encode()  # type: ignore[arg-type]
    kid = jwt.get_unverified_header(good)["kid"]
    claims = jwt.decode(good, options={"verify_signature": False})
    # PyJWT refuses to sign like this; an attacker would not.
    forged = _hs256({"alg": "HS256", "typ": "at+jwt", "kid": kid}, claims, secret)
    with pytest.raises(NotAuthenticated):
        codec.read(forged)


def _hs256(header: dict[str, str], claims: dict[str, object], secret: bytes) -> str:
    def part(data: bytes) -> bytes:
        return jwt.utils.base64url_encode(data)

    signed = part(json.dumps(header).encode()) + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.digest(secret, signed, hashlib.sha256))).decode()


def test_tokens_signed_by_the_secret_are_refused_after_the_switch_to_key_pairs(
    tmp_path: Path,
) -> None:
    by_secret = TokenCodec(AuthSettings()).issue(USER, SESSION).value
    with pytest.raises(NotAuthenticated):
        TokenCodec(settings(tmp_path, "EdDSA")).read(by_secret)
    # Unless the settings accept them during the transition.
    secret = AuthSettings().jwt_secret.get_secret_value()
    changing = TokenCodec(settings(tmp_path, "EdDSA", jwt_accepted_secrets=secret))
    assert changing.read(by_secret).user_id == USER


@pytest.mark.parametrize("algorithm", PAIRS)
def test_key_pairs_rotate_while_tokens_are_valid(tmp_path: Path, algorithm: Algorithm) -> None:
    old = settings(tmp_path, algorithm)
    said = rotation.of_key_pairs(old, tmp_path / "new")
    [private] = [f for f in (tmp_path / "new").iterdir() if "accepted" not in f.name]
    [accepted] = [f for f in (tmp_path / "new").iterdir() if "accepted" in f.name]
    assert private.stat().st_mode & 0o077 == 0
    assert f"AUTH_JWT_PRIVATE_KEY_FILE={private}" in said
    steps = [
        old,
        settings(tmp_path, algorithm, jwt_accepted_keys_file=accepted),
        settings(
            tmp_path, algorithm, jwt_private_key_file=private, jwt_accepted_keys_file=accepted
        ),
        settings(tmp_path, algorithm, jwt_private_key_file=private),
    ]
    codecs = [TokenCodec(step) for step in steps]
    for one, following in pairwise(codecs):
        assert following.read(one.issue(USER, SESSION).value).user_id == USER
    with pytest.raises(NotAuthenticated):
        codecs[3].read(codecs[0].issue(USER, SESSION).value)
    assert len(codecs[1].key_set()["keys"]) == 2
    # Others could fetch the new key before it signs.
    new = jwt.get_unverified_header(codecs[2].issue(USER, SESSION).value)["kid"]
    assert new in {key["kid"] for key in codecs[1].key_set()["keys"]}


@pytest.mark.parametrize(
    ("variable", "content", "said"),
    [
        ("PRIVATE_KEY_FILE", None, "required by EdDSA"),
        ("PRIVATE_KEY_FILE", "", "cannot be read"),
        ("PRIVATE_KEY_FILE", "no key", "must contain a PEM private key"),
        (
            "PRIVATE_KEY_FILE",
            pem(new_private_key("ES256")),
            "contains a key for ES256, not for EdDSA",
        ),
        (
            "PRIVATE_KEY_FILE",
            pem(ec.generate_private_key(ec.SECP384R1())),
            "a key on the curve secp384r1 must be on P-256",
        ),
        (
            "PRIVATE_KEY_FILE",
            # Deliberately weak.
            pem(rsa.generate_private_key(65537, 1024)),  # noqa: S505
            "an RSA key of 1024 bits must have 2048 or more",
        ),
        ("ACCEPTED_KEYS_FILE", "nothing", "must contain a sequence of PEM public keys"),
        (
            "ACCEPTED_KEYS_FILE",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "contains a block that is not a public key",
        ),
    ],
)
def test_unusable_keys_fail_at_boot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, content: str | None, said: str
) -> None:
    good = settings(tmp_path, "EdDSA")
    monkeypatch.setenv("AUTH_JWT_ALGORITHM", "EdDSA")
    monkeypatch.setenv("AUTH_JWT_PRIVATE_KEY_FILE", str(good.jwt_private_key_file))
    given = tmp_path / "given.pem"
    if content:
        given.write_text(content)
    monkeypatch.setenv(f"AUTH_JWT_{variable}", "" if content is None else str(given))
    with pytest.raises(SettingsError, match=f"AUTH_JWT_{variable}: .*{said}"):
        load_settings(None)


@pytest.mark.anyio
async def test_key_set_is_served(tmp_path: Path, settings_without_servers: Settings) -> None:
    auth = settings(tmp_path, "ES256")
    app = create_app(settings_without_servers.model_copy(update={"auth": auth}))
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        reply = await client.get("/.well-known/jwks.json")
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "public, max-age=300"
    assert [key["kty"] for key in reply.json()["keys"]] == ["EC"]


@pytest.fixture
def settings_without_servers(request: pytest.FixtureRequest) -> Settings:
    """The settings of tests/unit/conftest.py, whose name is in use here."""
    found = request.getfixturevalue("settings")
    assert isinstance(found, Settings)
    return found
