"""ops/production.Dockerfile, built by Docker's own builder on the project's base image."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import containers
from tests.images.network import engine


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The migration image, from the shipped binary."""
    client = engine()
    base = f"fastapi-base-test/python:{secrets.token_hex(4)}"
    client.images.get(containers.load(Path(f"python{containers.SUFFIX}.oci.tar"))).tag(base)
    context = tmp_path_factory.mktemp("context")
    (context / "dist").mkdir()
    shutil.copy("fastapi-base-migrate-linux.pex", context / "dist")
    shutil.copy("ops/production.Dockerfile", context / "Dockerfile")
    built, _ = client.images.build(
        path=str(context),
        buildargs={"PROGRAM": "migrate", "BASE": base},
        labels={containers.LABEL: "true"},
        rm=True,
    )
    yield str(built.id)
    client.images.remove(built.id, force=True)
    client.images.remove(base)


def test_built_image_runs_unprivileged_on_a_read_only_root(image: str) -> None:
    client = engine()
    said = client.containers.run(image, ["--help"], read_only=True, remove=True)
    assert b"migrate" in said
    config = client.images.get(image).attrs["Config"]
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    assert "ENVIRONMENT=production" in config["Env"]


def test_built_image_has_no_shell(image: str) -> None:
    client = engine()
    with pytest.raises(Exception, match="no such file or directory"):
        client.containers.run(image, ["-c", "true"], entrypoint="/bin/sh", remove=True)
