"""Signed documents: in-toto statements about an image, in envelopes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.build.oci import provenance
from ops.build.oci.config import encode
from ops.build.oci.dsse import Envelope
from ops.build.oci.errors import OciError
from ops.build.oci.keys import PrivateKey

PROVENANCE = provenance.PREDICATE_TYPE
BILL = "https://cyclonedx.org/bom"
VEX = "https://openvex.dev/ns/v0.2.0"
#: The annotation by which clients select among the envelopes of an image.
PREDICATE_KEY = "in-toto.io/predicate-type"

BILL_TYPE = "application/vnd.cyclonedx+json"
VEX_TYPE = "application/vnd.openvex+json"
#: The predicate types of documents that are no statements.
PREDICATES: Mapping[str, str] = {BILL_TYPE: BILL, VEX_TYPE: VEX}


@dataclass(frozen=True)
class Statement:
    """What an envelope states: the digests that it is about, and the predicate."""

    subjects: frozenset[str]
    kind: str
    predicate: Mapping[str, Any]

    @classmethod
    def parse(cls, payload: bytes) -> "Statement":
        """Parse a statement. Raises OciError."""
        try:
            document = json.loads(payload)
            if document["_type"] != provenance.STATEMENT_TYPE:
                raise OciError(f"not an in-toto statement of version 1: {document['_type']!r}")
            subjects = {f"sha256:{one['digest']['sha256']}" for one in document["subject"]}
            return cls(frozenset(subjects), document["predicateType"], document["predicate"])
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, OciError):
                raise
            raise OciError(f"not an in-toto statement: {error!r}") from error


def statement(media_type: str, content: bytes, name: str, digest: str) -> bytes:
    """The statement of a document about the image with this digest; of provenance, itself.

    Raises OciError for a document that no statement is defined for.
    """
    if media_type == provenance.MEDIA_TYPE:
        return content
    if media_type not in PREDICATES:
        raise OciError(f"{media_type} cannot be signed: known are {', '.join(PREDICATES)}")
    algorithm, _, value = digest.partition(":")
    return encode(
        {
            "_type": provenance.STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {algorithm: value}}],
            "predicateType": PREDICATES[media_type],
            "predicate": json.loads(content),
        }
    )


def sign(payload: bytes, key: PrivateKey) -> Envelope:
    """The envelope of a statement."""
    return Envelope.sign(payload, provenance.MEDIA_TYPE, key)
