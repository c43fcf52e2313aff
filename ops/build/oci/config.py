"""The configuration and the manifest of an image (OCI image specification 1.1)."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ops.build.oci.errors import OciError
from ops.build.oci.layer import Layer, Stored
from ops.build.oci.tarball import Blob

CREATED = "1970-01-01T00:00:00Z"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"

#: OCI platforms that images are built for, with their remaining fields.
PLATFORMS: Mapping[str, Mapping[str, str]] = {
    "linux/amd64": {"os": "linux", "architecture": "amd64"},
    "linux/arm64": {"os": "linux", "architecture": "arm64", "variant": "v8"},
}
_NANO = 1_000_000_000
_SECONDS = ("interval", "timeout", "start_period")


@dataclass(frozen=True)
class Config:
    """How a container of the image runs; fields as in the specification.

    ``healthcheck`` has ``test`` (a command, run without a shell), ``interval``, ``timeout`` and
    ``start_period`` in seconds and ``retries``.
    """

    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    ports: Sequence[str] = ()
    volumes: Sequence[str] = ()
    workdir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    healthcheck: Mapping[str, Any] = field(default_factory=dict)


def encode(document: Mapping[str, Any]) -> bytes:
    """Canonical JSON: sorted keys, no white space, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def config(how: Config, layers: Sequence[Layer], platform: str, origin: str) -> bytes:
    """The image's configuration. Raises OciError for a value that engines would refuse."""
    if platform not in PLATFORMS:
        raise OciError(f"{origin}: platforms: {platform!r} is not one of {', '.join(PLATFORMS)}")
    run: dict[str, Any] = {
        "Entrypoint": list(how.entrypoint),
        "Cmd": list(how.cmd),
        "Env": [f"{name}={value}" for name, value in sorted(how.env.items())],
        "User": _user(how.user, origin),
        "ExposedPorts": {_port(port, origin): {} for port in how.ports},
        "Volumes": {_absolute(path, "volumes", origin): {} for path in how.volumes},
        "WorkingDir": _absolute(how.workdir, "workdir", origin) if how.workdir else "",
        "Labels": dict(how.labels),
        "StopSignal": _signal(how.stop_signal, origin),
        "Healthcheck": _healthcheck(how.healthcheck, origin),
    }
    return encode(
        {
            **PLATFORMS[platform],
            "created": CREATED,
            "config": {name: value for name, value in run.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
            "history": [
                {"created": CREATED, "created_by": layer.origin, "comment": layer.comment}
                for layer in layers
            ],
        }
    )


def manifest(config_blob: Blob, layers: Iterable[Stored], annotations: Mapping[str, str]) -> bytes:
    """The image's manifest, whose digest is the image's."""
    return encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor(config_blob, CONFIG_TYPE),
            "layers": [descriptor(layer.blob, layer.media_type) for layer in layers],
            **annotated(annotations),
        }
    )


def annotated(annotations: Mapping[str, str]) -> dict[str, Any]:
    """The field of a manifest or an index that holds its annotations, if there are any."""
    return {"annotations": dict(annotations)} if annotations else {}


def descriptor(blob: Blob, media_type: str) -> dict[str, Any]:
    """The reference to a blob in other documents."""
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


def _user(user: str, origin: str) -> str:
    if user and not re.fullmatch(r"[a-z0-9_][a-z0-9_-]*(:[a-z0-9_][a-z0-9_-]*)?", user):
        raise OciError(f"{origin}: user: {user!r} is not USER or USER:GROUP, by name or number")
    return user


def _port(port: str, origin: str) -> str:
    number, _, protocol = port.partition("/")
    if not number.isdigit() or not 0 < int(number) < 65536 or protocol not in ("", "tcp", "udp"):
        raise OciError(f"{origin}: ports: {port!r} is not a port such as 8000, 8000/tcp or 53/udp")
    return f"{int(number)}/{protocol or 'tcp'}"


def _absolute(path: str, name: str, origin: str) -> str:
    if not path.startswith("/") or ".." in path.split("/"):
        raise OciError(f"{origin}: {name}: {path!r} is not an absolute path in the image")
    return path


def _signal(signal: str, origin: str) -> str:
    if signal and not re.fullmatch(r"SIG[A-Z0-9+-]+|\d+", signal):
        raise OciError(f"{origin}: stop_signal: {signal!r} is not a signal such as SIGTERM")
    return signal


def _healthcheck(check: Mapping[str, Any], origin: str) -> dict[str, Any]:
    if not check:
        return {}
    known = {"test", "retries", *_SECONDS}
    if unknown := sorted(set(check) - known):
        raise OciError(
            f"{origin}: healthcheck: {unknown[0]!r} is not one of {', '.join(sorted(known))}"
        )
    test = check.get("test")
    if not isinstance(test, (list, tuple)) or not test:
        raise OciError(f"{origin}: healthcheck: test must be a command as a list of words")
    result: dict[str, Any] = {"Test": ["CMD", *test]}
    for name in _SECONDS:
        if name in check:
            key = "".join(part.capitalize() for part in name.split("_"))
            result[key] = round(_number(check[name], name, origin) * _NANO)
    if "retries" in check:
        result["Retries"] = round(_number(check["retries"], "retries", origin))
    return result


def _number(value: Any, name: str, origin: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1
    if number <= 0:
        raise OciError(f"{origin}: healthcheck: {name} must be a number above 0, not {value!r}")
    return number
