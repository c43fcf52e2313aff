"""The signed statements about an image: which of them are to be trusted."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ops.build.oci import dsse, provenance, statements
from ops.build.oci.dsse import Envelope
from ops.build.oci.errors import OciError
from ops.build.oci.keys import PublicKey
from ops.build.oci.links import Link, missing, note, ok, wrong
from ops.build.oci.statements import Statement
from ops.build.oci.stores import Document


@dataclass(frozen=True)
class Signed:
    """A statement, its payload, and the keys of ours that signed it."""

    statement: Statement
    payload: bytes
    keys: tuple[PublicKey, ...]


@dataclass
class Evidence:
    """The trusted statements about an image, and the links found on the way."""

    links: list[Link] = field(default_factory=list)
    statements: list[Signed] = field(default_factory=list)

    def of(self, kind: str) -> list[Signed]:
        """The statements with this predicate type."""
        return [one for one in self.statements if one.statement.kind == kind]


def collect(digest: str, documents: Iterable[Document], keys: Sequence[PublicKey]) -> Evidence:
    """The statements about an image that these keys signed.

    A document that is changed, signed by another key under the name of one of these, or about
    another image is a wrong link. One that only unknown keys signed is a note.
    """
    found = Evidence()
    plain: list[Document] = []
    for document in documents:
        if document.subject not in ("", digest):
            text = f"{document.place}: is attached to {document.subject}"
            found.links.append(wrong("subject", text))
        elif document.media_type == dsse.MEDIA_TYPE:
            _envelope(digest, document, keys, found)
        else:
            plain.append(document)
    for document in plain:
        found.links.extend(_copy(document, found))
    return found


def required(found: Evidence, kind: str, name: str, keys: Sequence[PublicKey]) -> list[Link]:
    """A link for each key: whether it signed a statement of this kind."""
    links = []
    for key in keys:
        signed = any(key in one.keys for one in found.of(kind))
        text = f"signed by {key.name} ({key.keyid[:12]})"
        links.append(ok(name, text) if signed else missing(name, f"none is {text}"))
    return links


def _envelope(digest: str, document: Document, keys: Sequence[PublicKey], found: Evidence) -> None:
    try:
        envelope = Envelope.parse(document.content)
        by = tuple(key for key in keys if envelope.signed_by(key))
        if not by:
            found.links.append(_unsigned(envelope, document, keys))
            return
        if envelope.payload_type != provenance.MEDIA_TYPE:
            raise OciError(f"holds {envelope.payload_type}, no statement")
        statement = Statement.parse(envelope.payload)
    except OciError as error:
        found.links.append(wrong("signature", f"{document.place}: {error}"))
        return
    if digest not in statement.subjects:
        others = ", ".join(sorted(statement.subjects))
        text = f"{document.place}: {statement.kind} is about {others}, another image"
        found.links.append(wrong("subject", text))
        return
    found.statements.append(Signed(statement, envelope.payload, by))


def _unsigned(envelope: Envelope, document: Document, keys: Sequence[PublicKey]) -> Link:
    claimed = [key.name for key in keys if key.keyid in envelope.signatures]
    if claimed:
        return wrong(
            "signature",
            f"{document.place}: says that {', '.join(claimed)} signed it, which is not so: it was "
            "changed afterwards, or signed by another key",
        )
    others = ", ".join(sorted(keyid[:12] for keyid in envelope.signatures)) or "nobody"
    return note("signature", f"{document.place}: signed by {others}, whose key was not given")


def _copy(document: Document, found: Evidence) -> Iterable[Link]:
    """Whether a plain document says what one of the signed ones says."""
    if document.media_type == provenance.MEDIA_TYPE:
        kind, known = "provenance", [one.payload for one in found.of(statements.PROVENANCE)]
        said: list[Any] = [json.loads(one) for one in known]
    elif document.media_type in statements.PREDICATES:
        kind = statements.PREDICATES[document.media_type]
        said = [one.statement.predicate for one in found.of(kind)]
        kind = "SBOM" if kind == statements.BILL else "VEX"
    else:
        return
    try:
        content = json.loads(document.content)
    except ValueError:
        yield wrong("copy", f"{document.place}: {kind} is no JSON")
        return
    if content not in said:
        yield wrong("copy", f"{document.place}: {kind} differs from what is signed")
