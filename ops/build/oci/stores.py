"""Where images are read from: a registry, an archive or a directory with an OCI layout."""

import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from ops.build.oci import credentials, dsse, provenance, statements
from ops.build.oci.errors import OciError
from ops.build.oci.reference import Reference
from ops.build.oci.registry import Registry

_ARCHIVE = re.compile(r"(?P<path>.+?)(?:@(?P<digest>sha256:[0-9a-f]{64}))?")
#: The end of the file beside an archive that holds its envelopes, one on each line.
ENVELOPES = "attestations.jsonl"


@dataclass(frozen=True)
class Document:
    """A document that is attached to an image. ``place`` says where, for messages.

    ``subject`` is the digest that whoever attached it states; empty for a file beside an archive.
    """

    media_type: str
    content: bytes
    place: str
    subject: str = ""


class Store(Protocol):
    """A place that holds an image; ``digest`` is that of its manifest or index."""

    name: str
    digest: str

    def manifest(self, digest: str) -> bytes:
        """The manifest or index. Raises OciError if it is missing or differs from its digest."""
        ...

    def blob(self, digest: str) -> bytes:
        """A blob. Raises OciError if it is missing or differs from its digest."""
        ...

    def documents(self, digest: str) -> list[Document]:
        """What is attached to a manifest or index."""
        ...


def find(image: str) -> Store:
    """The store of ``FILE[@DIGEST]``, ``FOLDER[@DIGEST]`` or ``HOST/NAME[:TAG][@DIGEST]``.

    Raises OciError.
    """
    match = _ARCHIVE.fullmatch(image)
    if match and Path(match["path"]).exists():
        return LayoutStore(Path(match["path"]), match["digest"] or "")
    if "/" not in image or image.startswith((".", "/")) or image.endswith(".tar"):
        raise OciError(f"{image}: no such archive or directory, and no HOST/NAME@sha256:DIGEST")
    reference = Reference.parse(image)
    return RegistryStore(
        Registry(reference, credentials.find(reference.host, reference.name, os.environ))
    )


class RegistryStore:
    """An image in a registry."""

    def __init__(self, registry: Registry) -> None:
        reference = registry.reference
        self.registry, self.name = registry, reference.repository
        self.digest = reference.digest
        if not self.digest:
            content = registry.manifest(reference.tag)
            if content is None:
                raise OciError(f"{reference.repository}:{reference.tag}: no such tag")
            self.digest = _digest(content)

    def manifest(self, digest: str) -> bytes:
        """See `Store`."""
        content = self.registry.manifest(digest)
        if content is None:
            raise OciError(f"{self.name} has no {digest}")
        return content

    def blob(self, digest: str) -> bytes:
        """See `Store`."""
        return self.registry.blob(digest)

    def documents(self, digest: str) -> list[Document]:
        """See `Store`."""
        found: list[Document] = []
        for one in self.registry.referrers(digest):
            try:
                found += self._attached(str(one["digest"]))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise OciError(
                    f"{self.name}: an attached document has no valid manifest: {error!r}"
                ) from error
        return found

    def _attached(self, digest: str) -> Iterator[Document]:
        manifest = json.loads(self.manifest(digest))
        subject = str(manifest.get("subject", {}).get("digest", ""))
        for layer in manifest.get("layers", ()):
            content = self.registry.blob(str(layer["digest"]))
            place = f"{self.name}@{digest}"
            yield Document(str(layer["mediaType"]), content, place, subject)


class LayoutStore:
    """An image in a file or directory; its documents are beside it, as the build writes them."""

    def __init__(self, path: Path, digest: str = "") -> None:
        self.path, self.name = path, str(path)
        try:
            listed = json.loads(self._read("index.json"))["manifests"]
        except (ValueError, KeyError) as error:
            raise OciError(f"{path}: index.json is damaged: {error!r}") from error
        if not digest and len(listed) != 1:
            raise OciError(f"{path}: holds {len(listed)} images; name one, as {path}@sha256:DIGEST")
        self.digest = digest or str(listed[0]["digest"])

    def manifest(self, digest: str) -> bytes:
        """See `Store`."""
        return self.blob(digest)

    def blob(self, digest: str) -> bytes:
        """See `Store`."""
        content = self._read(f"blobs/{digest.replace(':', '/')}")
        if _digest(content) != digest:
            raise OciError(f"{self.path}: {digest} is damaged, it is {_digest(content)}")
        return content

    def documents(self, digest: str) -> list[Document]:
        """See `Store`. Files beside the archive are about it, unless they are about an image of
        its index.
        """
        index = json.loads(self.manifest(self.digest))
        images = {str(one["digest"]) for one in index.get("manifests", ())}
        if digest in images:
            return [one for one in self._files() if digest in _subjects(one)]
        return [one for one in self._files() if not images & _subjects(one)]

    def stem(self) -> Path:
        """The path of the documents without their endings."""
        name = self.path.name.removesuffix(".tar").removesuffix(".oci")
        return self.path.parent / name

    def _files(self) -> Iterator[Document]:
        stem = self.stem()
        stems = [stem]
        if stem.name.endswith("-index"):
            # Those of the images that it joins.
            base = stem.name.removesuffix("-index")
            stems += [stem.with_name(base), stem.with_name(f"{base}-arm64")]
        for one in stems:
            for ending, media_type in (
                ("cdx.json", statements.BILL_TYPE),
                ("provenance.json", provenance.MEDIA_TYPE),
            ):
                file = one.with_name(f"{one.name}.{ending}")
                if file.is_file():
                    yield Document(media_type, file.read_bytes(), str(file))
            signed = one.with_name(f"{one.name}.{ENVELOPES}")
            if signed.is_file():
                for number, line in enumerate(signed.read_bytes().splitlines(), 1):
                    yield Document(dsse.MEDIA_TYPE, line, f"{signed}:{number}")

    def _read(self, name: str) -> bytes:
        try:
            if self.path.is_dir():
                return (self.path / name).read_bytes()
            with tarfile.open(self.path) as tar:
                member = tar.extractfile(name)
                return member.read() if member else b""
        except KeyError:
            raise OciError(f"{self.path}: no {name} in it, so it is no image") from None
        except (OSError, tarfile.TarError) as error:
            raise OciError(f"{self.path}: cannot be read as an image: {error}") from error


def write(store: LayoutStore, envelopes: Iterable[bytes]) -> Path:
    """Add envelopes to the file beside an archive, each once; returns its path."""
    stem = store.stem()
    path = stem.with_name(f"{stem.name}.{ENVELOPES}")
    known = path.read_bytes().splitlines() if path.exists() else []
    lines = list(dict.fromkeys([*known, *envelopes]))
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def _subjects(document: Document) -> frozenset[str]:
    """The digests that a file beside an archive states to be about; those of damaged files are
    unknown, and the file is left out.
    """
    try:
        if document.media_type == statements.BILL_TYPE:
            bill: Any = json.loads(document.content)
            return frozenset({str(bill["metadata"]["component"]["version"])})
        payload = document.content
        if document.media_type == dsse.MEDIA_TYPE:
            payload = dsse.Envelope.parse(payload).payload
        return statements.Statement.parse(payload).subjects
    except (OciError, ValueError, KeyError, TypeError):
        return frozenset()


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"
