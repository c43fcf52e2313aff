"""Containers of the project's own images, loaded from the archives that Pants puts next to the
tests.

No image is pulled, not even testcontainers' own reaper, so leftovers of a killed test run are found
by their label: ``docker rm -f $(docker ps -aq --filter label=fastapi-base.tests)``.
"""

import json
import platform
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from filelock import FileLock
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

LABEL = "fastapi-base.tests"


@dataclass(frozen=True)
class Image:
    """An image as the tests get it: its archive in the working directory, and its port."""

    archive: Path
    port: int


#: The images of amd64 have the plain names.
SUFFIX = "-arm64" if platform.machine().lower() in ("aarch64", "arm64") else ""

POSTGRES = Image(Path(f"postgres{SUFFIX}.oci.tar"), 5432)
REDIS = Image(Path(f"redis{SUFFIX}.oci.tar"), 6379)


class Container:
    """A running container whose port is published on loopback."""

    def __init__(self, container: DockerContainer, image: Image) -> None:
        self._container = container
        self.port = int(container.get_exposed_port(image.port))

    def runs(self) -> bool:
        """Whether its main process is alive."""
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        return bool(wrapped.status == "running")

    def logs(self) -> str:
        """Everything it has logged so far."""
        out, err = self._container.get_logs()
        return f"{out.decode('utf-8', 'replace')}{err.decode('utf-8', 'replace')}"


def engine_answers() -> bool:
    """Whether a container engine is available."""
    try:
        return bool(DockerClient(timeout=10).client.ping())
    except Exception:  # Whatever the cause, no engine is available.
        return False


@contextmanager
def run(image: Image, environ: Mapping[str, str], command: tuple[str, ...]) -> Iterator[Container]:
    """Run an image until the context ends; its port is published on a free port of loopback."""
    testcontainers_config.ryuk_disabled = True
    container = DockerContainer(load(image.archive))
    container.with_kwargs(labels={LABEL: "true"})
    # An address and no port: a free port on loopback. The library passes it on as it is.
    container.ports[f"{image.port}/tcp"] = cast("int | None", ("127.0.0.1", None))
    for name, value in environ.items():
        container.with_env(name, value)
    if command:
        container.with_command(list(command))
    with container:
        yield Container(container, image)


def load(archive: Path) -> str:
    """Load an archive unless the engine has exactly this image; returns the image's ID."""
    client = DockerClient(timeout=300).client
    # Processes of one test run share the engine, and load one after another.
    with FileLock(Path(tempfile.gettempdir()) / "fastapi-base-image-load.lock"):
        known = _digests(archive)
        for image in client.images.list():
            if image.id in known:
                return str(image.id)
        with archive.open("rb") as file:
            return str(client.images.load(file)[0].id)


def _digests(archive: Path) -> list[str]:
    """The engine's ID of it: the configuration or, in containerd's store, the manifest."""
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        index = tar.extractfile("index.json")
        assert manifest
        assert index
        configuration = json.load(manifest)[0]["Config"].rsplit("/", 1)[-1].removesuffix(".json")
        described = [entry["digest"] for entry in json.load(index)["manifests"]]
    return [f"sha256:{configuration}", *described]
