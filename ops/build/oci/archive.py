"""One archive for every engine: an OCI layout that is also a `docker load` archive."""

import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ops.build.oci import config as oci
from ops.build.oci import stack, tarball
from ops.build.oci.config import Config, descriptor, encode
from ops.build.oci.entry import Entry, directory, file
from ops.build.oci.errors import OciError
from ops.build.oci.layer import Layer, Stored
from ops.build.oci.tarball import Blob

_BLOBS = "blobs/sha256"


@dataclass(frozen=True)
class Built:
    """``digest`` is that of the manifest (or index), ``image_id`` that of the configuration.

    ``unpacked`` counts the bytes of all files, ``layers`` holds the digests, lowest first.
    """

    digest: str
    image_id: str
    unpacked: int
    layers: tuple[str, ...] = ()


def image(
    how: Config,
    layers: Sequence[tuple[Layer, Path]],
    platform: str,
    reference: str,
    origin: str,
    output: Path,
    compressed: Sequence[tuple[Stored, Path]] = (),
    annotations: Mapping[str, str] = MappingProxyType({}),
) -> Built:
    """Write an image of one platform. Raises OciError, which names ``origin`` and the problem.

    ``compressed`` are the same layers to hold in place of the uncompressed ones, which then need
    not exist. ``annotations`` are those of the manifest: the image id does not depend on them.
    """
    _check_reference(reference, origin)
    records = [layer for layer, _ in layers]
    if not records:
        raise OciError(f"{origin}: has no layer; give it a base, layers or a pex")
    configuration = oci.config(how, records, platform, origin)
    architecture = oci.PLATFORMS[platform]["architecture"]
    for one in records:
        if one.architecture != architecture:
            raise OciError(
                f"{origin}: layer {one.origin} is for {one.architecture}, not {platform}"
            )
    unpacked = stack.check(records)
    configuration_blob = _blob(configuration)
    stored = compressed or [(layer.stored, path) for layer, path in layers]
    manifest = oci.manifest(configuration_blob, (layer for layer, _ in stored), annotations)
    entry = {
        **descriptor(_blob(manifest), oci.MANIFEST_TYPE),
        "platform": dict(oci.PLATFORMS[platform]),
        "annotations": _name(reference),
    }
    docker = {
        "Config": _path(configuration_blob.digest),
        "RepoTags": [reference],
        "Layers": [_path(layer.digest) for layer, _ in stored],
    }
    blobs: dict[str, bytes | Path] = {layer.digest: path for layer, path in stored}
    blobs |= {configuration_blob.digest: configuration, _blob(manifest).digest: manifest}
    _write(output, [entry], [docker], blobs)
    return Built(
        _blob(manifest).digest,
        configuration_blob.digest,
        unpacked,
        tuple(layer.digest for layer, _ in stored),
    )


def index(
    archives: Sequence[Path],
    reference: str,
    origin: str,
    output: Path,
    annotations: Mapping[str, str] = MappingProxyType({}),
) -> Built:
    """Join images of several platforms under one index; shared blobs are stored once.

    Engines without index support load the images one by one, under their own tags. Raises OciError
    for two images of one platform or of one tag.
    """
    _check_reference(reference, origin)
    manifests: list[dict[str, Any]] = []
    docker: list[dict[str, Any]] = []
    blobs: dict[str, bytes | Path] = {}
    for path in archives:
        with tarfile.open(path) as archive:
            for name in archive.getnames():
                if name.startswith(f"{_BLOBS}/"):
                    blobs[f"sha256:{name.removeprefix(f'{_BLOBS}/')}"] = _read(archive, name)
            for entry in json.loads(_read(archive, "index.json"))["manifests"]:
                entry.pop("annotations", None)
                if any(entry["platform"] == other["platform"] for other in manifests):
                    platform = f"{entry['platform']['os']}/{entry['platform']['architecture']}"
                    raise OciError(
                        f"{origin}: images: two are for {platform}; name one image a platform"
                    )
                manifests.append(entry)
            docker += json.loads(_read(archive, "manifest.json"))
    tags = [tag for one in docker for tag in one["RepoTags"]]
    if doubled := sorted({tag for tag in tags if tags.count(tag) > 1}):
        raise OciError(
            f"{origin}: images: two are named {doubled[0]}, and an engine without indexes would "
            "keep the last; give each platform a tag of its own"
        )
    if len(manifests) < 2:
        raise OciError(f"{origin}: images: an index joins two images or more")
    manifests.sort(key=lambda entry: str(entry["platform"]["architecture"]))
    docker.sort(key=lambda one: str(one["RepoTags"]))
    joined = encode(
        {
            "schemaVersion": 2,
            "mediaType": oci.INDEX_TYPE,
            "manifests": manifests,
            **oci.annotated(annotations),
        }
    )
    blob = _blob(joined)
    blobs[blob.digest] = joined
    top = {**descriptor(blob, oci.INDEX_TYPE), "annotations": _name(reference)}
    _write(output, [top], docker, blobs)
    return Built(blob.digest, "", 0)


def _write(
    output: Path,
    top: list[dict[str, Any]],
    docker: list[dict[str, Any]],
    blobs: dict[str, bytes | Path],
) -> None:
    def entries() -> Iterator[Entry]:
        yield directory("blobs")
        yield directory(_BLOBS)
        for digest, content in sorted(blobs.items()):
            data = content if isinstance(content, bytes) else content.read_bytes()
            if _blob(data).digest != digest:
                raise OciError(f"blob {digest} of {output.name} was changed since it was made")
            yield file(_path(digest), data)
        index = {"schemaVersion": 2, "mediaType": oci.INDEX_TYPE, "manifests": top}
        yield file("index.json", encode(index))
        yield file("manifest.json", json.dumps(docker, sort_keys=True).encode())
        yield file("oci-layout", encode({"imageLayoutVersion": "1.0.0"}))

    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("wb") as out:
        tarball.write(entries(), out)


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    return member.read() if member else b""


def _blob(data: bytes) -> Blob:
    return Blob(f"sha256:{sha256(data).hexdigest()}", len(data))


def _path(digest: str) -> str:
    return f"{_BLOBS}/{digest.removeprefix('sha256:')}"


def _name(reference: str) -> dict[str, str]:
    """The full reference: Podman names the loaded image by it, and a tag is not enough."""
    return {"org.opencontainers.image.ref.name": reference}


def _check_reference(reference: str, origin: str) -> None:
    part = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
    if not re.fullmatch(rf"{part}(?:/{part})*:[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}", reference):
        raise OciError(
            f"{origin}: {reference!r} is not a name that engines take: REPOSITORY:TAG, the "
            "repository in lower-case letters and digits with . _ - and / between them"
        )
