"""Pushes an archive to a registry, with what refers to it: bills of materials, provenance.

    python -m ops.oci.publish ARCHIVE HOST/NAME:TAG [--attach TYPE=FILE ...]

The registry then holds the very bytes of the archive, under the digest that it had when it was
built. Credentials, where the registry wants some, are taken from OCI_CREDENTIALS (USER:PASSWORD).
"""

import argparse
import json
import os
import sys
import tarfile
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from ops.oci.config import INDEX_TYPE, MANIFEST_TYPE, encode
from ops.oci.errors import OciError
from ops.oci.registry import Reference, Registry, fallback_tag

_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


def push(archive: Path, registry: Registry) -> str:
    """Push the archive's image or index as the registry's tag; returns its digest.

    Blobs that the registry has are not sent again. Raises OciError.
    """
    with tarfile.open(archive) as tar:
        (top,) = json.loads(_read(tar, "index.json"))["manifests"]
        _push(tar, top, registry, registry.reference.tag)
    return str(top["digest"])


def attach(subject: str, media_type: str, content: bytes, registry: Registry) -> str:
    """Push a document that refers to the manifest ``subject``; returns its own manifest's digest.

    Registries without the referrers API get the tag that stands for it. Doing so twice changes
    nothing. Raises OciError when the registry lacks the subject.
    """
    manifest = registry.manifest(subject)
    if manifest is None:
        raise OciError(f"{registry.reference.host} has no {subject}: push the image first")
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
        }
    )
    digest = _digest(document)
    if not registry.put_manifest(digest, document, MANIFEST_TYPE):
        known = [one for one in registry.referrers(subject) if one["digest"] != digest]
        known.append({**_descriptor(document, MANIFEST_TYPE), "artifactType": media_type})
        known.sort(key=lambda one: str(one["digest"]))
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": known}
        registry.put_manifest(fallback_tag(subject), encode(index), INDEX_TYPE)
    return digest


def main(arguments: list[str] | None = None) -> int:
    """Push, attach, and print the digest; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.oci.publish", description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("reference", help="HOST/NAME:TAG")
    parser.add_argument("--attach", action="append", default=[], metavar="TYPE=FILE")
    chosen = parser.parse_args(arguments)
    try:
        reference = Reference.parse(chosen.reference)
        registry = Registry(reference, os.environ.get("OCI_CREDENTIALS", ""))
        digest = push(chosen.archive, registry)
        print(f"{reference.host}/{reference.name}@{digest}")
        for media_type, path in _attachments(chosen.attach):
            print(f"  {media_type} {attach(digest, media_type, path.read_bytes(), registry)}")
    except OciError as error:
        print(f"oci: {error}", file=sys.stderr)
        return 1
    return 0


def _attachments(words: Iterable[str]) -> Iterator[tuple[str, Path]]:
    for word in words:
        media_type, equals, name = word.partition("=")
        if not equals or "/" not in media_type or not Path(name).is_file():
            raise OciError(
                f"--attach {word}: expected is TYPE=FILE with a media type and an existing file, "
                "such as application/vnd.cyclonedx+json=api.cdx.json"
            )
        yield media_type, Path(name)


def _push(tar: tarfile.TarFile, top: dict[str, Any], registry: Registry, tag: str) -> None:
    content = _blob(tar, top["digest"])
    document = json.loads(content)
    for child in document.get("manifests", []):
        _push(tar, child, registry, child["digest"])
    for one in (document.get("config"), *document.get("layers", [])):
        if one and not registry.has_blob(one["digest"]):
            registry.put_blob(one["digest"], _blob(tar, one["digest"]))
    registry.put_manifest(tag, content, top["mediaType"])


def _put(registry: Registry, digest: str, content: bytes) -> None:
    if not registry.has_blob(digest):
        registry.put_blob(digest, content)


def _blob(tar: tarfile.TarFile, digest: str) -> bytes:
    content = _read(tar, f"blobs/{digest.replace(':', '/')}")
    if _digest(content) != digest:
        raise OciError(f"{tar.name!s}: blob {digest} is damaged: build the archive anew")
    return content


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    try:
        member = tar.extractfile(name)
    except KeyError:
        member = None
    if member is None:
        raise OciError(f"{tar.name!s}: no {name} in it, so it is no archive of an image")
    return member.read()


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def _descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


if __name__ == "__main__":
    sys.exit(main())
