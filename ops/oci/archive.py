"""Archives of images: an OCI layout in a tar file that ``docker load`` of every release takes, too."""

import io
import json
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ops.oci.image import (
    INDEX_TYPE,
    Blob,
    Image,
    ImageError,
    Settings,
    encode,
    json_blob,
    layer_blob,
    settings_of,
)
from ops.oci.layer import Layer

_REF = "org.opencontainers.image.ref.name"


def write(images: Sequence[Image], output: Path) -> str:
    """Write an archive of one image, or of several for different platforms.

    One image: index.json points to its manifest. Several: to an index that joins them, and for
    ``docker load``, which knows no index, each image's tags end in its architecture. Returns the
    digest of the manifest or index, by which a registry would know it.
    """
    joined = len(images) > 1
    blobs: dict[str, Blob] = {}
    for image in images:
        for blob in (image.config, image.manifest, *map(layer_blob, image.layers)):
            blobs[blob.name] = blob
    top = images[0].descriptor
    if joined:
        index = json_blob(
            {
                "schemaVersion": 2,
                "mediaType": INDEX_TYPE,
                "manifests": [image.descriptor for image in images],
            },
            INDEX_TYPE,
        )
        blobs[index.name] = index
        top = index.descriptor
    entries = [{**top, "annotations": {_REF: tag}} for tag in images[0].tags] or [top]
    documents = {
        "index.json": {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries},
        "manifest.json": [
            {
                "Config": image.config.name,
                "RepoTags": [f"{t}-{image.architecture}" if joined else t for t in image.tags],
                "Layers": [layer_blob(layer).name for layer in image.layers],
            }
            for image in images
        ],
        "oci-layout": {"imageLayoutVersion": "1.0.0"},
    }
    members: dict[str, bytes | Path] = {name: encode(value) for name, value in documents.items()}
    members |= {blob.name: blob.source for blob in blobs.values()}
    with tarfile.open(output, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(members):
            _add(tar, name, members[name])
    return str(top["digest"])


def read(file: Path, folder: Path) -> list[tuple[Image, Settings]]:
    """Read an OCI archive with plain tar layers, unpacking its layers into a folder.

    Raises ImageError for what is no such archive.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(file) as tar:
            reader = _Reader(tar, folder)
            top = reader.document("index.json")
            tags = tuple(
                tag for entry in top["manifests"] if (tag := entry.get("annotations", {}).get(_REF))
            )
            found = {entry["digest"]: entry for entry in top["manifests"]}
            return [
                reader.image(manifest, tags)
                for entry in found.values()
                for manifest in reader.manifests(entry)
            ]
    except (KeyError, TypeError, tarfile.TarError, json.JSONDecodeError) as error:
        raise ImageError(f"{file}: not a complete OCI archive: {error!r}") from None


class _Reader:
    def __init__(self, tar: tarfile.TarFile, folder: Path) -> None:
        self.tar, self.folder = tar, folder

    def content(self, name: str) -> bytes:
        member = self.tar.extractfile(name)
        if member is None:
            raise KeyError(name)
        return member.read()

    def document(self, name: str) -> Any:
        return json.loads(self.content(name))

    def blob(self, descriptor: dict[str, Any]) -> Blob:
        digest = str(descriptor["digest"])
        content = self.content(f"blobs/{digest.replace(':', '/')}")
        return Blob(str(descriptor["mediaType"]), digest, len(content), content)

    def manifests(self, descriptor: dict[str, Any]) -> Iterator[Blob]:
        blob = self.blob(descriptor)
        if blob.media_type == INDEX_TYPE:
            for entry in json.loads(_bytes(blob))["manifests"]:
                yield from self.manifests(entry)
        else:
            yield blob

    def image(self, manifest: Blob, tags: tuple[str, ...]) -> tuple[Image, Settings]:
        document = json.loads(_bytes(manifest))
        config = self.blob(document["config"])
        setup = json.loads(_bytes(config))
        names = [entry.get("created_by", "layer") for entry in setup.get("history", ())]
        layers = tuple(
            self.layer(name, descriptor)
            for name, descriptor in zip(names, document["layers"], strict=True)
        )
        image = Image(setup["architecture"], layers, config, manifest, tags)
        return image, settings_of(setup.get("config", {}))

    def layer(self, name: str, descriptor: dict[str, Any]) -> Layer:
        digest = str(descriptor["digest"])
        file = self.folder / digest.replace(":", "-")
        member = self.tar.extractfile(f"blobs/{digest.replace(':', '/')}")
        if member is None:
            raise KeyError(digest)
        with file.open("wb") as target:
            shutil.copyfileobj(member, target)
        return Layer(name, file, digest, file.stat().st_size)


def _bytes(blob: Blob) -> bytes:
    return blob.source if isinstance(blob.source, bytes) else blob.source.read_bytes()


def _add(tar: tarfile.TarFile, name: str, source: bytes | Path) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = 0o644, 0
    if isinstance(source, bytes):
        info.size = len(source)
        tar.addfile(info, io.BytesIO(source))
    else:
        info.size = source.stat().st_size
        with source.open("rb") as stream:
            tar.addfile(info, stream)
