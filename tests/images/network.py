"""Runs the service's images on a network of their own, as an operator would, and removes them."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testcontainers.core.docker_client import DockerClient

from tests import containers

START_SECONDS = 90.0
STOP_SECONDS = 30


def engine() -> Any:
    """The engine's client; fails with one sentence where none answers."""
    assert containers.engine_answers(), (
        "no container engine answers: start Docker or Podman, or set DOCKER_HOST to its socket"
    )
    return DockerClient(timeout=300).client


def wait(what: Callable[[], bool], why: Callable[[], str]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + START_SECONDS
    while not what():
        assert time.monotonic() < deadline, why()
        time.sleep(0.1)


@dataclass
class Container:
    """A container of one of our images, with a read-only root, by its name on the network."""

    name: str
    wrapped: Any

    def logs(self) -> str:
        """All it wrote so far."""
        return str(self.wrapped.logs().decode("utf-8", "replace"))

    def state(self) -> dict[str, Any]:
        """What the engine says of it now."""
        self.wrapped.reload()
        state: dict[str, Any] = self.wrapped.attrs["State"]
        return state

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command in it; its exit code and what it wrote."""
        code, output = self.wrapped.exec_run(list(command))
        return int(code), str(output.decode("utf-8", "replace"))

    def wait_until_healthy(self) -> None:
        """Wait for the image's own health check to succeed."""

        def healthy() -> bool:
            state = self.state()
            assert state["Running"], f"{self.name} ended:\n{self.logs()}"
            return bool(state["Health"]["Status"] == "healthy")

        wait(
            healthy, lambda: f"{self.name} does not get well: {self.state()}\n{self.logs()[-3000:]}"
        )

    def stop(self) -> int:
        """Ask it to stop by the image's signal; its exit code. 137 means that it did not."""
        self.wrapped.stop(timeout=STOP_SECONDS)
        return int(self.state()["ExitCode"])

    def port(self, inside: str) -> int:
        """The port of loopback that a port is published on."""
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
    ) -> Container:
        """Start a container of an image's archive, with a read-only root and no rights at all."""
        container = self.client.containers.create(
            containers.load(Path(f"{image}.oci.tar")),
            list(command) or None,
            environment=dict(environ),
            labels={containers.LABEL: "true"},
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            ports={publish: ("127.0.0.1", None)} if publish else {},
            network=self.wrapped.name,
        )
        self.stack.callback(container.remove, force=True, v=True)
        self.wrapped.disconnect(container)
        self.wrapped.connect(container, aliases=[name])
        container.start()
        return Container(name, container)

    def finish(self, name: str, image: str, environ: Mapping[str, str], *command: str) -> str:
        """Run a container to its end, which must be good; what it wrote."""
        container = self.start(name, image, environ, command)
        code = container.wrapped.wait(timeout=START_SECONDS)["StatusCode"]
        assert code == 0, container.logs()
        return container.logs()


@contextmanager
def network() -> Iterator[Network]:
    """A network that goes away with all that was started on it."""
    client = engine()
    name = f"fastapi-base-tests-{secrets.token_hex(4)}"
    made = Network(client, client.networks.create(name, labels={containers.LABEL: "true"}))
    try:
        with made.stack:
            yield made
    finally:
        made.wrapped.remove()
