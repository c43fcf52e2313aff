"""Reads the image archives that Pants puts beside the tests."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

SERVICES = ("api", "worker", "migrate")
IMAGES = (*SERVICES, "postgres", "redis")
SUFFIXES = {"amd64": "", "arm64": "-arm64"}


@dataclass(frozen=True)
class Archive:
    """One archive; ``name`` is that of its target, such as ``api-arm64``."""

    name: str
    folder: Path = Path()

    @property
    def file(self) -> Path:
        """The archive itself."""
        return self.folder / f"{self.name}.oci.tar"

    @contextmanager
    def opened(self) -> Iterator[tarfile.TarFile]:
        """The archive as tar."""
        with tarfile.open(self.file) as tar:
            yield tar

    def document(self, name: str) -> Any:
        """A JSON document of the archive."""
        with self.opened() as tar:
            member = tar.extractfile(name)
            assert member is not None, f"{self.file} has no {name}"
            return json.load(member)

    def blob(self, digest: str) -> Any:
        """A JSON document by its digest."""
        return self.document(f"blobs/{digest.replace(':', '/')}")

    @cached_property
    def digest(self) -> str:
        """Its digest in a registry: that of the manifest or of the index."""
        (entry,) = self.document("index.json")["manifests"]
        return str(entry["digest"])

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest of an image, or the document of an index."""
        manifest: dict[str, Any] = self.blob(self.digest)
        return manifest

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration: platform, layers, and how a container runs."""
        config: dict[str, Any] = self.blob(self.manifest["config"]["digest"])
        return config

    @cached_property
    def layers(self) -> list[str]:
        """Digests of the layers, lowest first."""
        return [layer["digest"] for layer in self.manifest["layers"]]

    def files(self, layers: slice = slice(None)) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        """The entries of the layers, with the contents of regular files."""
        with self.opened() as tar:
            for digest in self.layers[layers]:
                with tarfile.open(fileobj=tar.extractfile(_path(digest))) as layer:
                    for info in layer:
                        member = layer.extractfile(info) if info.isreg() else None
                        yield info, member.read() if member else b""

    @cached_property
    def names(self) -> set[str]:
        """All paths in the image."""
        return {info.name for info, _ in self.files()}

    def blob_digests(self) -> Iterator[tuple[str, str]]:
        """The digest by which each blob is named, and the digest of its content."""
        with self.opened() as tar:
            for info in tar:
                if info.name.startswith("blobs/") and (member := tar.extractfile(info)):
                    content = hashlib.file_digest(member, "sha256").hexdigest()  # type: ignore[arg-type]
                    yield info.name.rsplit("/", 1)[-1], content


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
