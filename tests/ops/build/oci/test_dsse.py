import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ops.build.oci import keys
from ops.build.oci.dsse import Envelope
from ops.build.oci.errors import OciError
from ops.build.oci.keys import PrivateKey, PublicKey
from tests.ops.build.oci import signed

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo


def test_signature_is_over_payload_and_type(tmp_path: Path) -> None:
    key, public = signed.keys(tmp_path)
    envelope = Envelope.parse(Envelope.sign(b"hello world", "http://example.com/x", key).encode())
    assert envelope.signed_by(public)
    assert not Envelope(b"hello", envelope.payload_type, envelope.signatures).signed_by(public)
    assert not Envelope(envelope.payload, "other", envelope.signatures).signed_by(public)
    # The example of the specification: any other tool signs these bytes.
    (signature,) = envelope.signatures.values()
    assert public.verifies(signature, b"DSSEv1 20 http://example.com/x 11 hello world")


def test_key_id_is_only_a_hint(tmp_path: Path) -> None:
    key, public = signed.keys(tmp_path)
    _, other = signed.keys(tmp_path, "other")
    envelope = Envelope.sign(b"x", "t", key)
    (signature,) = envelope.signatures.values()
    assert Envelope(b"x", "t", {"": signature}).signed_by(public)
    assert not Envelope(b"x", "t", {other.keyid: signature}).signed_by(other)


def test_ecdsa_key_with_a_password_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    locked = serialization.BestAvailableEncryption(b"secret")
    (tmp_path / "key.pem").write_bytes(private.private_bytes(PEM, PKCS8, locked))
    (tmp_path / "key.pub").write_bytes(private.public_key().public_bytes(PEM, PUBLIC))
    with pytest.raises(OciError, match=r"key.pem: cannot be read .* is in SIGNING_KEY_PASSWORD"):
        PrivateKey.read(tmp_path / "key.pem")
    monkeypatch.setenv("SIGNING_KEY_PASSWORD", "secret")
    envelope = Envelope.sign(b"x", "t", PrivateKey.read(tmp_path / "key.pem"))
    assert envelope.signed_by(PublicKey.read(tmp_path / "key.pub"))


def test_other_kinds_of_keys_are_refused(tmp_path: Path) -> None:
    private = rsa.generate_private_key(65537, 2048)
    plain = serialization.NoEncryption()
    (tmp_path / "key.pem").write_bytes(private.private_bytes(PEM, PKCS8, plain))
    (tmp_path / "key.pub").write_bytes(private.public_key().public_bytes(PEM, PUBLIC))
    with pytest.raises(OciError, match=r"key.pem: is not an Ed25519 or ECDSA key"):
        PrivateKey.read(tmp_path / "key.pem")
    with pytest.raises(OciError, match=r"key.pub: is not the public part of"):
        PublicKey.read(tmp_path / "key.pub")
    with pytest.raises(OciError, match=r"key.pem: is not the public part of"):
        PublicKey.read(tmp_path / "key.pem")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", json.dumps({"payload": "!", "signatures": []}).encode()]
)
def test_damaged_envelope_is_refused(content: bytes) -> None:
    with pytest.raises(OciError, match="not a DSSE envelope"):
        Envelope.parse(content)


def test_encoding_is_base64(tmp_path: Path) -> None:
    key, public = signed.keys(tmp_path)
    document = json.loads(Envelope.sign(b"\xff", "t", key).encode())
    assert base64.b64decode(document["payload"]) == b"\xff"
    assert [one["keyid"] for one in document["signatures"]] == [public.keyid]


def test_new_key_is_readable_by_its_owner_only_and_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "signing.pem"
    assert keys.main([str(path)]) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert "signing.pub verifies" in capsys.readouterr().out
    before = path.read_bytes()
    assert keys.main([str(path)]) == 1
    assert "signing.pem: cannot be created" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert keys.main([str(tmp_path / "x.pub")]) == 1
    assert keys.main([]) == 2
