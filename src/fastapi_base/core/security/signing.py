"""Keys for signing access tokens: shared secrets, or key pairs with published public keys."""

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
# The members of a thumbprint (RFC 7638, 3.2; RFC 8037, 2).
_REQUIRED = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}
_END = b"-----END PUBLIC KEY-----"


class KeyFileError(ValueError):
    """A key file that cannot be used. The message gives the reason and reveals no key material."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key that verifies tokens, bound to one algorithm.

    The algorithm belongs to the key and is never taken from the token. This prevents the use of a
    public key as a shared secret (RFC 8725, 3.1).
    """

    id: str
    algorithm: Algorithm
    key: bytes | PublicKey

    def jwk(self) -> dict[str, Any] | None:
        """The public JWK (RFC 7517), or None for a shared secret."""
        if isinstance(self.key, bytes):
            return None
        return {**_jwk(self.key), "kid": self.id, "alg": self.algorithm, "use": "sig"}


def secret_key(secret: str) -> VerifyingKey:
    """A shared secret. Its id, a truncated hash, identifies it without revealing it."""
    key = secret.encode()
    return VerifyingKey(hashlib.sha256(b"kid:" + key).hexdigest()[:16], "HS256", key)


def public_key(key: PublicKey) -> VerifyingKey:
    """A public key with its thumbprint (RFC 7638) as id. Raises KeyFileError for weak keys."""
    jwk = _jwk(key)
    required = {name: jwk[name] for name in _REQUIRED[jwk["kty"]]}
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True).encode()
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
    return VerifyingKey(thumbprint, _algorithm(key), key)


def read_private_key(file: Path, algorithm: Algorithm) -> PrivateKey:
    """Read the signing key from an unencrypted PEM file. Raises KeyFileError."""
    content = _read(file)
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        raise KeyFileError(f"{file} must contain a PEM private key without a passphrase") from None
    if not isinstance(
        key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    ):
        raise KeyFileError(f"{file} must contain an Ed25519, P-256 or RSA key")
    found = _algorithm(key.public_key())
    if found != algorithm:
        raise KeyFileError(f"{file} contains a key for {found}, not for {algorithm}")
    return key


def read_public_keys(file: Path) -> list[VerifyingKey]:
    """Read additionally accepted keys from a file of PEM blocks. Raises KeyFileError."""
    blocks = [block + _END for block in _read(file).split(_END)[:-1]]
    if not blocks:
        raise KeyFileError(f"{file} must contain a sequence of PEM public keys")
    keys = []
    for block in blocks:
        try:
            key = serialization.load_pem_public_key(block.strip())
        except ValueError:
            raise KeyFileError(f"{file} contains a block that is not a public key") from None
        if not isinstance(
            key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
        ):
            raise KeyFileError(f"{file} must contain Ed25519, P-256 or RSA keys")
        keys.append(public_key(key))
    return keys


def new_private_key(algorithm: Algorithm) -> PrivateKey:
    """Generate a key. Raises ValueError for HS256, which uses shared secrets."""
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=3072)
    raise ValueError("HS256 has shared secrets")


def pem(key: PrivateKey | PublicKey) -> str:
    """The key as PEM (PKCS #8 or SubjectPublicKeyInfo), the format that the readers here accept."""
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
