"""Push an archive to a registry, with its referrers: bills of materials, provenance, signatures.

    python -m ops.build.oci.publish ARCHIVE HOST/NAME:TAG [--attach TYPE=FILE[@DIGEST] ...]
        [--key KEY.pem] [--sign COMMAND] [--mount NAME ...] [--move-tags]

The registry then holds the exact bytes of the archive, under the digest of the build. The tag is
set last, after the documents were pushed and signed: a pull by tag never gets an image without
them. A tag that names another image is not moved unless told. Credentials: see
ops/build/oci/credentials.py.
"""

import argparse
import io
import json
import os
import re
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from ops.build.oci import credentials, dsse, statements
from ops.build.oci.config import INDEX_TYPE, MANIFEST_TYPE, annotated, encode
from ops.build.oci.errors import OciError
from ops.build.oci.keys import PrivateKey
from ops.build.oci.registry import Reference, Registry, fallback_tag
from ops.build.oci.signing import sign

_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_ATTACHMENT = re.compile(
    r"(?P<type>[\w.+-]+/[\w.+-]+)=(?P<file>.+?)(@(?P<subject>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class Attachment:
    """A document, and the digest of the manifest that it is about; empty for the archive's."""

    media_type: str
    content: bytes
    subject: str = ""

    @classmethod
    def parse(cls, text: str) -> "Attachment":
        """Parse ``TYPE=FILE`` or ``TYPE=FILE@DIGEST``. Raises OciError."""
        match = _ATTACHMENT.fullmatch(text)
        if not match or not Path(match["file"]).is_file():
            raise OciError(
                f"--attach {text}: expected is TYPE=FILE with a media type and an existing file, "
                "such as application/vnd.cyclonedx+json=api.cdx.json, and @DIGEST where the "
                "document is about one image of an index"
            )
        return cls(match["type"], Path(match["file"]).read_bytes(), match["subject"] or "")


@dataclass(frozen=True)
class Signers:
    """Who signs: a key, a command, both or none."""

    key: PrivateKey | None = None
    command: str = ""


def publish(
    archive: Path,
    registry: Registry,
    attachments: Iterable[Attachment] = (),
    signers: Signers = Signers(),
    *,
    move_tags: bool = False,
) -> Iterator[str]:
    """Push, attach, sign, and set the tag; yields a line after each step.

    Raises OciError at the first failure; the tag is then unchanged.
    """
    digest = top(archive)
    if not move_tags:
        check_tag(digest, registry)
    push(archive, registry)
    reference = f"{registry.reference.repository}@{digest}"
    yield reference
    for one in attachments:
        subject = one.subject or digest
        yield f"  {one.media_type} {attach(subject, one.media_type, one.content, registry)}"
        if signers.key:
            yield f"  signed {_attach_signed(one, subject, registry, signers.key)}"
    if signers.command:
        sign(signers.command, reference)
        yield f"  signed by {signers.command}"
    tag(digest, registry)
    yield f"  tag {registry.reference.tag}"


def _attach_signed(one: Attachment, subject: str, registry: Registry, key: PrivateKey) -> str:
    name = registry.reference.repository
    payload = statements.statement(one.media_type, one.content, name, subject)
    annotations = {statements.PREDICATE_KEY: statements.Statement.parse(payload).kind}
    envelope = statements.sign(payload, key).encode()
    return attach(subject, dsse.MEDIA_TYPE, envelope, registry, annotations)


def check_tag(digest: str, registry: Registry) -> None:
    """Raise OciError if the registry's tag names another image than ``digest``."""
    there = registry.manifest(registry.reference.tag)
    if there is not None and _digest(there) != digest:
        raise OciError(
            f"{registry.reference.repository}:{registry.reference.tag} is {_digest(there)} and "
            f"would become {digest}: publish under another tag, or say that tags may move "
            "(`make publish FORCE=1`, [oci-images].move_tags)"
        )


def top(archive: Path) -> str:
    """The digest of the archive's image or index. Raises OciError."""
    with _opened(archive) as tar:
        (one,) = json.loads(_open(tar, "index.json").read())["manifests"]
    return str(one["digest"])


def push(archive: Path, registry: Registry) -> str:
    """Push the archive's image or index, without a tag; returns its digest.

    Blobs that the registry already has are not sent again. Raises OciError.
    """
    with _opened(archive) as tar:
        (one,) = json.loads(_open(tar, "index.json").read())["manifests"]
        _push(tar, one, registry)
    return str(one["digest"])


def tag(digest: str, registry: Registry) -> None:
    """Point the registry's tag to a manifest or index that it has. Raises OciError."""
    content = _manifest(digest, registry)
    registry.put_manifest(registry.reference.tag, content, json.loads(content)["mediaType"])


def attach(
    subject: str,
    media_type: str,
    content: bytes,
    registry: Registry,
    annotations: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Push a document that refers to the manifest ``subject``; returns its own manifest's digest.

    Registries without the referrers API get the fallback tag. Attaching is idempotent. Raises
    OciError if the registry lacks the subject.
    """
    manifest = _manifest(subject, registry)
    for blob in (_EMPTY, content):
        _put(registry, _digest(blob), blob)
    media = json.loads(manifest)["mediaType"]
    document = encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": media_type,
            "config": _descriptor(_EMPTY, _EMPTY_TYPE),
            "layers": [_descriptor(content, media_type)],
            "subject": _descriptor(manifest, media),
            **annotated(annotations),
        }
    )
    digest = _digest(document)
    if not registry.put_manifest(digest, document, MANIFEST_TYPE):
        known = [one for one in registry.referrers(subject) if one["digest"] != digest]
        own = {**_descriptor(document, MANIFEST_TYPE), "artifactType": media_type}
        known.append({**own, **annotated(annotations)})
        known.sort(key=lambda one: str(one["digest"]))
        index = encode({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": known})
        registry.put_manifest(fallback_tag(subject), index, INDEX_TYPE)
        if registry.manifest(fallback_tag(subject)) != index:
            raise OciError(
                f"{registry.reference.host} does not keep the tag {fallback_tag(subject)}, which "
                f"lists the documents of {subject}: they are pushed, and nobody can find them"
            )
    return digest


def main(arguments: list[str] | None = None) -> int:
    """Publish and report each step; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ops.build.oci.publish",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("archive", type=Path)
    parser.add_argument("reference", help="HOST/NAME:TAG")
    parser.add_argument("--key", type=Path, help="the private key that signs each document")
    parser.add_argument("--mount", action="append", default=[], metavar="NAME")
    parser.add_argument("--move-tags", action="store_true")
    parser.add_argument("--attach", action="append", default=[], metavar="TYPE=FILE[@DIGEST]")
    parser.add_argument(
        "--sign",
        default="",
        metavar="COMMAND",
        help="run with HOST/NAME@DIGEST as its last argument; nothing is tagged when it fails",
    )
    chosen = parser.parse_args(arguments)
    try:
        reference = Reference.parse(chosen.reference)
        if not reference.tag:
            raise OciError(f"{chosen.reference!r} is not HOST/NAME:TAG: name the tag to publish")
        known = credentials.find(reference.host, reference.name, os.environ)
        attachments = [Attachment.parse(text) for text in chosen.attach]
        registry = Registry(reference, known, tuple(chosen.mount))
        key = PrivateKey.read(chosen.key) if chosen.key else None
        signers = Signers(key, chosen.sign)
        steps = publish(chosen.archive, registry, attachments, signers, move_tags=chosen.move_tags)
        for line in steps:
            print(line, flush=True)
    except OciError as error:
        print(f"oci: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive) as tar:
            yield tar
    except (OSError, tarfile.TarError) as error:
        raise OciError(f"{archive}: cannot be read as an archive of an image: {error}") from error


def _push(tar: tarfile.TarFile, top: dict[str, Any], registry: Registry) -> None:
    content = _blob(tar, top["digest"])
    document = json.loads(content)
    for child in document.get("manifests", []):
        _push(tar, child, registry)
    for one in (document.get("config"), *document.get("layers", [])):
        if one and not registry.has_blob(one["digest"]):
            with _verified(tar, one["digest"]) as blob:
                registry.put_blob(one["digest"], one["size"], blob)
    registry.put_manifest(top["digest"], content, top["mediaType"])


def _put(registry: Registry, digest: str, content: bytes) -> None:
    if not registry.has_blob(digest):
        registry.put_blob(digest, len(content), io.BytesIO(content))


def _manifest(digest: str, registry: Registry) -> bytes:
    content = registry.manifest(digest)
    if content is None:
        raise OciError(f"{registry.reference.host} has no {digest}: push the image first")
    return content


def _blob(tar: tarfile.TarFile, digest: str) -> bytes:
    with _verified(tar, digest) as content:
        return content.read()


def _verified(tar: tarfile.TarFile, digest: str) -> io.BufferedReader:
    """A blob, after its content was compared with its digest."""
    content = _open(tar, f"blobs/{digest.replace(':', '/')}")
    if f"sha256:{file_digest(content, 'sha256').hexdigest()}" != digest:
        raise OciError(f"{tar.name!s}: blob {digest} is damaged: build the archive anew")
    content.seek(0)
    return content


def _open(tar: tarfile.TarFile, name: str) -> io.BufferedReader:
    try:
        member = tar.extractfile(name)
    except KeyError:
        member = None
    if member is None:
        raise OciError(f"{tar.name!s}: no {name} in it, so it is no archive of an image")
    # Its declared type hides what `file_digest` requires.
    return cast(io.BufferedReader, member)


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def _descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


if __name__ == "__main__":
    sys.exit(main())
