"""Images: config, manifest and descriptors of the OCI image specification 1.1."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops.oci.layer import MEDIA_TYPE, Layer

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"

#: The time of everything; a build's own time would change the digest.
EPOCH = "1970-01-01T00:00:00Z"
_SECOND = 1_000_000_000


class ImageError(ValueError):
    """An image that cannot be made or read; the message says what is wrong and the mend."""


@dataclass(frozen=True)
class Healthcheck:
    """A command in exec form; times in seconds."""

    command: tuple[str, ...]
    interval: int = 10
    timeout: int = 5
    start_period: int = 30
    retries: int = 3


@dataclass(frozen=True)
class Settings:
    """What a container of the image starts with. Names as in the target type ``oci_image``."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    stop_signal: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None


@dataclass(frozen=True)
class Blob:
    """Bytes, or a file of them, with their descriptor's fields."""

    media_type: str
    digest: str
    size: int
    source: bytes | Path

    @property
    def descriptor(self) -> dict[str, object]:
        """The OCI content descriptor."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}

    @property
    def name(self) -> str:
        """The path in an OCI layout."""
        return f"blobs/{self.digest.replace(':', '/')}"


@dataclass(frozen=True)
class Image:
    """An image: its platform, layers from the lowest, config and manifest."""

    architecture: str
    layers: tuple[Layer, ...]
    config: Blob
    manifest: Blob
    tags: tuple[str, ...] = ()

    @property
    def descriptor(self) -> dict[str, object]:
        """The manifest's descriptor with its platform, as an index lists it."""
        return {
            **self.manifest.descriptor,
            "platform": {"architecture": self.architecture, "os": "linux"},
        }


def encode(document: object) -> bytes:
    """JSON with sorted keys and no blanks, so that equal documents are equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def json_blob(document: object, media_type: str) -> Blob:
    """A document as a blob."""
    content = encode(document)
    return Blob(media_type, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content), content)


def make(
    architecture: str, layers: Sequence[Layer], settings: Settings, tags: Sequence[str] = ()
) -> Image:
    """The image of the layers and settings. Layers are uncompressed: diff ID and digest are one."""
    config = json_blob(
        {
            "architecture": architecture,
            "os": "linux",
            "created": EPOCH,
            "config": _config(settings),
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
            "history": [{"created": EPOCH, "created_by": layer.name} for layer in layers],
        },
        CONFIG_TYPE,
    )
    manifest = json_blob(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config.descriptor,
            "layers": [layer_blob(layer).descriptor for layer in layers],
        },
        MANIFEST_TYPE,
    )
    return Image(architecture, tuple(layers), config, manifest, tuple(tags))


def settings_of(config: Mapping[str, object]) -> Settings:
    """The settings in a config's ``config`` object: what an image on top of it inherits."""
    raw: Mapping[str, object] = dict(config)
    check = raw.get("Healthcheck")
    return Settings(
        entrypoint=_strings(raw.get("Entrypoint")),
        cmd=_strings(raw.get("Cmd")),
        user=str(raw.get("User") or ""),
        workdir=str(raw.get("WorkingDir") or ""),
        stop_signal=str(raw.get("StopSignal") or ""),
        env=dict(item.split("=", 1) for item in _strings(raw.get("Env"))),
        labels={k: str(v) for k, v in _mapping(raw.get("Labels")).items()},
        ports=tuple(_mapping(raw.get("ExposedPorts"))),
        volumes=tuple(_mapping(raw.get("Volumes"))),
        healthcheck=_healthcheck(_mapping(check)) if check else None,
    )


def layer_blob(layer: Layer) -> Blob:
    """A layer's file as a blob."""
    return Blob(MEDIA_TYPE, layer.digest, layer.size, layer.file)


def _config(settings: Settings) -> dict[str, object]:
    """The ``config`` object; what is not set is left out."""
    document: dict[str, object] = {
        "Cmd": list(settings.cmd),
        "Entrypoint": list(settings.entrypoint),
        "Env": [f"{name}={value}" for name, value in sorted(settings.env.items())],
        "ExposedPorts": {port: {} for port in settings.ports},
        "Labels": dict(settings.labels),
        "StopSignal": settings.stop_signal,
        "User": settings.user,
        "Volumes": {path: {} for path in settings.volumes},
        "WorkingDir": settings.workdir,
    }
    if check := settings.healthcheck:
        # Docker's addition to the specification, which podman reads, too.
        document["Healthcheck"] = {
            "Test": ["CMD", *check.command],
            "Interval": check.interval * _SECOND,
            "Timeout": check.timeout * _SECOND,
            "StartPeriod": check.start_period * _SECOND,
            "Retries": check.retries,
        }
    return {name: value for name, value in document.items() if value}


def _healthcheck(raw: Mapping[str, object]) -> Healthcheck:
    def seconds(name: str) -> int:
        return int(str(raw.get(name, 0))) // _SECOND

    return Healthcheck(
        _strings(raw.get("Test"))[1:],
        seconds("Interval"),
        seconds("Timeout"),
        seconds("StartPeriod"),
        int(str(raw.get("Retries", 3))),
    )


def _strings(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
