"""Signed envelopes (DSSE 1.0): a payload, its type and signatures over both."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.build.oci.config import encode
from ops.build.oci.errors import OciError
from ops.build.oci.keys import PrivateKey, PublicKey

MEDIA_TYPE = "application/vnd.dsse.envelope.v1+json"


@dataclass(frozen=True)
class Envelope:
    """``signatures`` maps the ids of keys to signatures. An id is a hint and proves nothing."""

    payload: bytes
    payload_type: str
    signatures: Mapping[str, bytes]

    @classmethod
    def sign(cls, payload: bytes, payload_type: str, key: PrivateKey) -> "Envelope":
        """A new envelope with one signature."""
        signature = key.sign(_encoded(payload, payload_type))
        return cls(payload, payload_type, {key.public.keyid: signature})

    @classmethod
    def parse(cls, content: bytes) -> "Envelope":
        """Parse an envelope's JSON. Raises OciError."""
        try:
            document: Any = json.loads(content)
            signatures = {
                str(one.get("keyid", "")): base64.b64decode(one["sig"], validate=True)
                for one in document["signatures"]
            }
            payload = base64.b64decode(document["payload"], validate=True)
            return cls(payload, str(document["payloadType"]), signatures)
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise OciError(f"not a DSSE envelope: {error!r}") from error

    def encode(self) -> bytes:
        """Its JSON: the same bytes for the same content."""
        return encode(
            {
                "payload": base64.b64encode(self.payload).decode(),
                "payloadType": self.payload_type,
                "signatures": [
                    {"keyid": keyid, "sig": base64.b64encode(signature).decode()}
                    for keyid, signature in sorted(self.signatures.items())
                ],
            }
        )

    def signed_by(self, key: PublicKey) -> bool:
        """Whether any of the signatures is this key's, whatever id it states."""
        signed = _encoded(self.payload, self.payload_type)
        return any(key.verifies(one, signed) for one in self.signatures.values())


def _encoded(payload: bytes, payload_type: str) -> bytes:
    """What is signed: the specification's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
