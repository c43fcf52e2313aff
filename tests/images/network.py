"""Runs the service's images on their own network, as an operator would, and removes them."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from testcontainers.core.docker_client import DockerClient

from ops.dev import waiting
from tests import containers

START_SECONDS = 90.0
STOP_SECONDS = 30


def engine() -> Any:
    """The engine's client; fails with one sentence if no engine responds."""
    assert containers.engine_answers(), (
        "no container engine answers: start Docker or Podman, or set DOCKER_HOST to its socket"
    )
    return DockerClient(timeout=300).client


@dataclass
class Container:
    """A container of a project image, with a read-only root, known by name on the network."""

    name: str
    wrapped: Any

    def logs(self) -> str:
        """Everything it has logged so far."""
        return str(self.wrapped.logs().decode("utf-8", "replace"))

    def state(self) -> dict[str, Any]:
        """The engine's current state of it."""
        self.wrapped.reload()
        state: dict[str, Any] = self.wrapped.attrs["State"]
        return state

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command in it; returns the exit code and the output."""
        code, output = self.wrapped.exec_run(list(command))
        return int(code), str(output.decode("utf-8", "replace"))

    def wait_until_healthy(self) -> None:
        """Wait for the image's own health check to succeed."""

        def healthy() -> bool:
            state = self.state()
            assert state["Running"], f"{self.name} ended:\n{self.logs()}"
            return bool(state["Health"]["Status"] == "healthy")

        self.wait(healthy, "healthy")

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition of it; fails with its state and the end of its log."""
        waiting.until(
            condition,
            f"{self.name}: {what}",
            START_SECONDS,
            said=lambda: f"{self.state()}\n{self.logs()[-3000:]}",
        )

    def stop(self) -> int:
        """Stop it with the image's signal; returns its exit code. 137 means that it was killed."""
        self.wrapped.stop(timeout=STOP_SECONDS)
        return int(self.state()["ExitCode"])

    def port(self, inside: str) -> int:
        """The loopback port on which a port is published."""
        self.wrapped.reload()
        return int(self.wrapped.ports[inside][0]["HostPort"])


@dataclass
class Network:
    """A network with the containers on it."""

    client: Any
    wrapped: Any
    stack: ExitStack = field(default_factory=ExitStack)

    def start(
        self,
        name: str,
        image: str,
        environ: Mapping[str, str],
        command: Sequence[str] = (),
        publish: str = "",
        entrypoint: Sequence[str] = (),
        mounts: Mapping[str, Path] = MappingProxyType({}),
    ) -> Container:
        """Start a container of an image's archive, with a read-only root and without capabilities.

        `mounts` maps paths in the container to directories of this machine, mounted read-only.
        """
        container = self.client.containers.create(
            containers.load(Path(f"{image}.oci.tar")),
            list(command) or None,
            environment=dict(environ),
            labels={containers.LABEL: "true"},
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            entrypoint=list(entrypoint) or None,
            volumes={str(path): {"bind": at, "mode": "ro"} for at, path in mounts.items()},
            ports={publish: ("127.0.0.1", None)} if publish else {},
            network=self.wrapped.name,
        )
        self.stack.callback(container.remove, force=True, v=True)
        self.wrapped.disconnect(container)
        self.wrapped.connect(container, aliases=[name])
        container.start()
        return Container(name, container)

    def finish(self, name: str, image: str, environ: Mapping[str, str], *command: str) -> str:
        """Run a container to completion, which must succeed; returns its output."""
        container = self.start(name, image, environ, command)
        code = container.wrapped.wait(timeout=START_SECONDS)["StatusCode"]
        assert code == 0, container.logs()
        return container.logs()


@contextmanager
def network() -> Iterator[Network]:
    """A network that is removed with everything that was started on it."""
    client = engine()
    name = f"fastapi-base-tests-{secrets.token_hex(4)}"
    made = Network(client, client.networks.create(name, labels={containers.LABEL: "true"}))
    try:
        with made.stack:
            yield made
    finally:
        made.wrapped.remove()
