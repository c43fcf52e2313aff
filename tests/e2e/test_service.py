"""The README's tour against API, relay, worker and Beat, started from the shipped binaries."""

import json
import platform
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from ops.build.oci import wheels
from tests import servers
from tests.e2e.stack import (
    Binaries,
    create_database,
    environment,
    last_heartbeat,
    running,
    wait_for_heartbeat,
    wait_for_reply,
)

LINUX_64 = platform.system() == "Linux" and platform.machine() in ("x86_64", "aarch64")
BUILDS = ["", *(["-linux"] if LINUX_64 else [])]


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with servers.postgres_server() as url:
        yield url


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with servers.redis_server() as url:
        yield url


@pytest.fixture(scope="module", params=BUILDS, ids=lambda suffix: suffix or "host")
def api(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres: str,
    redis: str,
) -> Iterator[str]:
    name = f"e2e{request.param.replace('-', '_')}"
    folder = tmp_path_factory.mktemp(name)
    database = create_database(postgres, name)
    with running(Binaries(request.param), folder, database, redis) as url:
        yield url


@pytest.mark.parametrize("program", ["api", "worker", "migrate"])
@pytest.mark.parametrize("suffix", BUILDS, ids=lambda suffix: suffix or "host")
def test_binary_contains_its_wheels_unmodified(program: str, suffix: str) -> None:
    """Pex copies wheels from its cache, where they may have been damaged."""
    wheels.check_pex(Path(f"fastapi-base-{program}{suffix}.pex"))


def tour() -> str:
    """The README's block that is marked as the tour."""
    blocks = re.findall(r"^```bash tour\n(.*?)^```$", Path("README.md").read_text(), re.M | re.S)
    assert len(blocks) == 1
    return str(blocks[0])


def test_tour_of_the_readme(api: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", tour()],
        env=environment(tmp_path, API=api),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    job = json.loads(done.stdout.splitlines()[-1])
    assert job["status"] == "succeeded"
    assert (job["result"]["words"], job["result"]["unique_words"]) == (4, 3)
    assert '"email":"ada@example.com"' in done.stdout


def test_worker_runs_what_beat_schedules(api: str) -> None:
    wait_for_heartbeat(api, after=None)
    first = last_heartbeat(api)
    wait_for_heartbeat(api, after=first)
    second = last_heartbeat(api)
    assert first is not None
    assert second is not None
    assert second > first


def test_documentation_is_served(api: str) -> None:
    wait_for_reply(f"{api}/docs")
    with urlopen(f"{api}/openapi.json", timeout=5) as reply:
        assert "/api/v1/users/me" in json.load(reply)["paths"]


@pytest.mark.parametrize("program", ["api", "worker", "migrate"])
def test_linux_binary_has_wheels_of_both_architectures_and_no_test_library(
    program: str,
) -> None:
    with zipfile.ZipFile(f"fastapi-base-{program}-linux.pex") as pex:
        wheels = {name.split("/")[1] for name in pex.namelist() if name.startswith(".deps/")}
    for machine in ("x86_64", "aarch64"):
        assert any(re.fullmatch(rf"hiredis-.*{machine}\.whl", wheel) for wheel in wheels)
    assert not [w for w in wheels if re.match(r"(pytest|testcontainers|hypothesis|mypy)-", w)]
