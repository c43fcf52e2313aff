"""Keys that sign and verify documents: Ed25519 and ECDSA, as PEM files.

    python -m ops.build.oci.keys FILE.pem

creates a private key, and FILE.pub, which verifies. The password of an encrypted key is in
SIGNING_KEY_PASSWORD.
"""

import os
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ops.build.oci.errors import OciError

_UNLOCKED_BY = "SIGNING_KEY_PASSWORD"
_KINDS = "an Ed25519 or ECDSA key in PEM"
_ECDSA = ec.ECDSA(hashes.SHA256())

type _Public = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
type _Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies; ``name`` is that of its file, for messages."""

    key: _Public
    name: str = ""

    @classmethod
    def read(cls, path: Path) -> "PublicKey":
        """Read a PEM file. Raises OciError."""
        try:
            key = serialization.load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise OciError(f"{path}: is not the public part of {_KINDS}: {error}") from error
        if not isinstance(key, (ed25519.Ed25519PublicKey, ec.EllipticCurvePublicKey)):
            raise OciError(f"{path}: is not the public part of {_KINDS}")
        return cls(key, path.name)

    @property
    def keyid(self) -> str:
        """SHA-256 of the key in DER (SubjectPublicKeyInfo), in hexadecimal."""
        return sha256(
            self.key.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        ).hexdigest()

    def verifies(self, signature: bytes, content: bytes) -> bool:
        """Whether this is the key's signature of the content."""
        try:
            if isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(signature, content)
            else:
                self.key.verify(signature, content, _ECDSA)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class PrivateKey:
    """A key that signs."""

    key: _Private

    @classmethod
    def read(cls, path: Path) -> "PrivateKey":
        """Read a PEM file. Raises OciError."""
        password = os.environ.get(_UNLOCKED_BY, "").encode() or None
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            # A password for a key without one is a TypeError, like its opposite.
            raise OciError(
                f"{path}: cannot be read as {_KINDS} (its password, if any, is in {_UNLOCKED_BY}): "
                f"{error}"
            ) from error
        if not isinstance(key, (ed25519.Ed25519PrivateKey, ec.EllipticCurvePrivateKey)):
            raise OciError(f"{path}: is not {_KINDS}")
        return cls(key)

    @property
    def public(self) -> PublicKey:
        """The key that verifies."""
        return PublicKey(self.key.public_key())

    def sign(self, content: bytes) -> bytes:
        """The signature of the content."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(content)
        return self.key.sign(content, _ECDSA)


def create(path: Path) -> Path:
    """Write a new Ed25519 key that only its owner can read, and the public one beside it.

    Returns the path of that. Raises OciError if one of the files exists.
    """
    public = path.with_suffix(".pub")
    if public == path:
        raise OciError(
            f"{path}: name the private key otherwise, such as {path.with_suffix('.pem')}"
        )
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    verifying = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for file, content, mode in ((path, private, 0o600), (public, verifying, 0o644)):
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            raise OciError(f"{file}: cannot be created: {error}") from error
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
    return public


def main(arguments: list[str] | None = None) -> int:
    """Create a key; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) != 1:
        print("keys: expected is one argument, the file of the new private key", file=sys.stderr)
        return 2
    try:
        print(f"{words[0]} signs, {create(Path(words[0]))} verifies")
    except OciError as error:
        print(f"keys: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
