"""Keys that sign access tokens: shared secrets, or key pairs whose public halves all may have."""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

type Algorithm = Literal["HS256", "EdDSA", "ES256", "RS256"]
type PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
type PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_RSA_BITS = 2048
# What a thumbprint is made of (RFC 7638, 3.2; RFC 8037, 2).
_REQUIRED = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}
_END = b"-----END PUBLIC KEY-----"


class KeyFileError(ValueError):
    """A file of keys that cannot be used. The message says why, and nothing of the keys."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key by which tokens are checked, and the one algorithm that it is good for.

    That the algorithm belongs to the key, and is never taken from the token, is what keeps a public
    key from being used as a shared secret (RFC 8725, 3.1).
    """

    id: str
    algorithm: Algorithm
    key: bytes | PublicKey

    def jwk(self) -> dict[str, Any] | None:
        """What may be published of it (RFC 7517); None for a shared secret."""
        if isinstance(self.key, bytes):
            return None
        return {**_jwk(self.key), "kid": self.id, "alg": self.algorithm, "use": "sig"}


def secret_key(secret: str) -> VerifyingKey:
    """A shared secret. Its id tells keys apart and tells nothing about them."""
    key = secret.encode()
    return VerifyingKey(hashlib.sha256(b"kid:" + key).hexdigest()[:16], "HS256", key)


def public_key(key: PublicKey) -> VerifyingKey:
    """A public key; its id is its thumbprint (RFC 7638). Raises KeyFileError for a weak kind."""
    jwk = _jwk(key)
    required = {name: jwk[name] for name in _REQUIRED[jwk["kty"]]}
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True).encode()
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
    return VerifyingKey(thumbprint, _algorithm(key), key)


def read_private_key(file: Path, algorithm: Algorithm) -> PrivateKey:
    """The key that signs, from a PEM file without a passphrase. Raises KeyFileError."""
    content = _read(file)
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        raise KeyFileError(f"{file} must hold a private key as PEM, without a passphrase") from None
    if not isinstance(
        key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    ):
        raise KeyFileError(f"{file} must hold an Ed25519, P-256 or RSA key")
    found = _algorithm(key.public_key())
    if found != algorithm:
        raise KeyFileError(f"{file} holds a key for {found}, not for {algorithm}")
    return key


def read_public_keys(file: Path) -> list[VerifyingKey]:
    """Keys that are accepted besides, from a file of PEM blocks. Raises KeyFileError."""
    blocks = [block + _END for block in _read(file).split(_END)[:-1]]
    if not blocks:
        raise KeyFileError(f"{file} must hold public keys as PEM, one after the other")
    keys = []
    for block in blocks:
        try:
            key = serialization.load_pem_public_key(block.strip())
        except ValueError:
            raise KeyFileError(f"{file} has a block that is no public key") from None
        if not isinstance(
            key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
        ):
            raise KeyFileError(f"{file} must hold Ed25519, P-256 or RSA keys")
        keys.append(public_key(key))
    return keys


def new_private_key(algorithm: Algorithm) -> PrivateKey:
    """A new key. Raises ValueError for HS256, whose keys are secrets."""
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=3072)
    raise ValueError("HS256 has shared secrets")


def pem(key: PrivateKey | PublicKey) -> str:
    """The key as PEM (PKCS #8 or SubjectPublicKeyInfo), as the readers here take it."""
    if isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def _algorithm(key: PublicKey) -> Algorithm:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "EdDSA"
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise KeyFileError(f"a key on the curve {key.curve.name} must be on P-256")
        return "ES256"
    if key.key_size < _RSA_BITS:
        raise KeyFileError(f"an RSA key of {key.key_size} bits must have {_RSA_BITS} or more")
    return "RS256"


def _jwk(key: PublicKey) -> dict[str, Any]:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return dict(OKPAlgorithm.to_jwk(key, as_dict=True))
    if isinstance(key, ec.EllipticCurvePublicKey):
        return dict(ECAlgorithm.to_jwk(key, as_dict=True))
    return {
        name: value
        for name, value in RSAAlgorithm.to_jwk(key, as_dict=True).items()
        if name != "key_ops"
    }


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{file} cannot be read ({error.strerror})") from None
