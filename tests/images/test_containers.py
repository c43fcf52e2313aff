"""The shipped archives, loaded into an engine and run as an operator would."""

import io
import json
import re
import secrets
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

from tests.images.network import Container, Network, network

PASSWORD = secrets.token_urlsafe(12)


@dataclass
class Service:
    """The whole service on its network."""

    network: Network
    environ: dict[str, str]
    containers: dict[str, Container]

    @property
    def url(self) -> str:
        """The API's address on loopback."""
        return f"http://127.0.0.1:{self.containers['api'].port('8000/tcp')}"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with network() as net:
        postgres = net.start(
            "postgres",
            "postgres",
            {
                "POSTGRES_USER": "ada",
                "POSTGRES_PASSWORD": PASSWORD,
                "POSTGRES_DB": "tour",
                "POSTGRES_DURABILITY": "off",
            },
        )
        redis = net.start("redis", "redis", {})
        postgres.wait_until_healthy()
        redis.wait_until_healthy()
        environ = {
            "ENVIRONMENT": "test",
            "DATABASE_URL": f"postgresql://ada:{PASSWORD}@postgres:5432/tour",
            "REDIS_URL": "redis://redis:6379/0",
            "AUTH_JWT_SECRET": secrets.token_urlsafe(48),
            "AUTH_ENCRYPTION_KEY": secrets.token_urlsafe(48),
            "API_WORKERS": "1",
            "CELERY_CONCURRENCY": "1",
            "CELERY_HEARTBEAT_SECONDS": "1",
            "AUTH_BCRYPT_ROUNDS": "4",
        }
        net.finish("migrate", "migrate", environ)
        started = {
            "postgres": postgres,
            "redis": redis,
            "relay": net.start("relay", "migrate", environ, ["relay"]),
            "worker": net.start("worker", "worker", environ),
            "beat": net.start("beat", "worker", environ, ["beat"]),
            "api": net.start("api", "api", environ, publish="8000/tcp"),
        }
        for name in ("api", "worker", "beat"):
            started[name].wait_until_healthy()
        yield Service(net, environ, started)


def test_tour_of_the_readme(service: Service, tmp_path: Path) -> None:
    (tour,) = re.findall(r"^```bash tour\n(.*?)^```$", Path("README.md").read_text(), re.M | re.S)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", tour],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path), "API": service.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    job = json.loads(done.stdout.splitlines()[-1])
    assert (job["status"], job["result"]["words"]) == ("succeeded", 4)


def test_worker_runs_what_beat_schedules(service: Service) -> None:
    def beaten() -> bool:
        with urlopen(f"{service.url}/health/ready", timeout=5) as reply:
            return bool(json.load(reply)["last_heartbeat"])

    service.containers["beat"].wait(beaten, "a heartbeat through the worker")


def test_second_migration_changes_nothing(service: Service) -> None:
    service.network.finish("migrate-again", "migrate", service.environ)


@pytest.mark.parametrize("name", ["api", "worker", "beat", "redis"])
def test_no_shell_can_be_run(service: Service, name: str) -> None:
    for shell in ("sh", "/bin/sh", "/bin/bash", "/usr/bin/dash"):
        code, output = service.containers[name].run(shell, "-c", "true")
        assert code in (126, 127), output


@pytest.mark.parametrize("name", ["api", "worker"])
def test_root_is_read_only_and_the_user_is_unprivileged(service: Service, name: str) -> None:
    program = (
        "import errno, os, sys\n"
        "assert os.getuid() == os.getgid() == 10001\n"
        "try:\n"
        "    open('/app/written', 'w')\n"
        "except OSError as error:\n"
        "    sys.exit(0 if error.errno in (errno.EROFS, errno.EACCES) else 1)\n"
        "sys.exit('it was written')\n"
    )
    code, output = service.containers[name].run("/usr/bin/python3.13", "-c", program)
    assert code == 0, output


def test_every_module_of_the_service_can_be_imported(service: Service) -> None:
    program = (
        "import importlib, os, pkgutil, ssl, sqlite3, zoneinfo, fastapi_base\n"
        # The server of this container uses that port.
        "del os.environ['METRICS_PORT']\n"
        "zoneinfo.ZoneInfo('Europe/Vienna')\n"
        "assert ssl.create_default_context().cert_store_stats()['x509_ca'] > 100\n"
        "for found in pkgutil.walk_packages(fastapi_base.__path__, 'fastapi_base.'):\n"
        "    if '.migrations.' not in found.name:\n"
        "        importlib.import_module(found.name)\n"
    )
    code, output = service.containers["api"].run("/usr/bin/python3.13", "-c", program)
    assert code == 0, output


def test_server_has_its_user_and_database_and_no_durability(service: Service) -> None:
    query = (
        "select current_setting('server_version_num')::int / 10000, current_setting('fsync'),"
        " current_setting('jit'), current_database(), current_user"
    )
    code, output = service.containers["postgres"].run(
        "psql", f"postgresql://ada:{PASSWORD}@127.0.0.1/tour", "-Atc", query
    )
    assert (code, output.strip()) == (0, "17|off|off|tour|ada")


@pytest.mark.parametrize("image", ["api", "worker", "migrate"])
def test_image_without_settings_names_the_missing_ones(service: Service, image: str) -> None:
    container = service.network.start(f"bare-{image}", image, {})
    assert container.wrapped.wait(timeout=60)["StatusCode"] == 1
    assert "AUTH_JWT_SECRET: production requires your own secret" in container.logs()


def test_wrong_password_is_refused(service: Service) -> None:
    code, output = service.containers["postgres"].run(
        "psql", "postgresql://ada:wrong@127.0.0.1/tour", "-c", "select 1"
    )
    assert code == 2
    assert "password authentication failed" in output


def test_redis_is_version_8(service: Service) -> None:
    code, output = service.containers["redis"].run("redis-cli", "info", "server")
    assert code == 0
    assert "redis_version:8." in output


def test_postgres_keeps_its_data_and_names_missing_settings() -> None:
    with network() as net:
        silent = net.start("silent", "postgres", {})
        assert silent.wrapped.wait(timeout=60)["StatusCode"] == 1
        assert "POSTGRES_PASSWORD is not set" in silent.logs()
        server = net.start("server", "postgres", {"POSTGRES_PASSWORD": PASSWORD})
        server.wait_until_healthy()
        address = f"postgresql://postgres:{PASSWORD}@127.0.0.1/postgres"
        code, output = server.run("psql", address, "-c", "create table kept (id int)")
        assert code == 0, output
        assert server.stop() == 0
        server.wrapped.start()
        server.wait_until_healthy()
        code, output = server.run("psql", address, "-Atc", "show fsync; select count(*) from kept")
        assert (code, output.split()) == (0, ["on", "0"])


def test_request_in_progress_is_answered_before_shutdown(service: Service) -> None:
    api = service.network.start("draining", "api", service.environ, publish="8000/tcp")
    api.wait_until_healthy()
    body = json.dumps({"email": "drain@example.com", "password": "correct horse battery"}).encode()
    head = (
        "POST /api/v1/auth/register HTTP/1.1\r\nHost: drain\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", api.port("8000/tcp")), timeout=30) as client:
        client.sendall(head.encode())
        # Sent when the application reads the body: it is handling the request.
        assert b"100 Continue" in client.recv(1000)
        api.wrapped.kill(signal="SIGTERM")
        api.wait(lambda: "signal: term" in api.logs().lower(), "the signal is logged")
        client.sendall(body)
        assert client.recv(1000).startswith(b"HTTP/1.1 202 ")
    assert api.wrapped.wait(timeout=30)["StatusCode"] == 0, api.logs()


def test_processes_of_the_compose_file_reload_after_an_edit(
    service: Service, tmp_path: Path
) -> None:
    stream, _ = service.containers["api"].wrapped.get_archive("/app/src")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        tar.extractall(tmp_path, filter="data")
    sources = tmp_path / "src"
    sources.chmod(0o755)
    # A checkout has none of the image's bytecode, which is never checked against its source.
    for cache in list(sources.rglob("__pycache__")):
        shutil.rmtree(cache)
    described = yaml.safe_load(Path("docker-compose.yml").read_text())["services"]
    started = {
        name: service.network.start(
            f"reloading-{name}",
            image,
            service.environ,
            described[name]["command"],
            publish="8000/tcp" if name == "api" else "",
            entrypoint=described[name]["entrypoint"],
            mounts={"/app/src": sources},
        )
        for name, image in (("api", "api"), ("relay", "migrate"))
    }
    api, relay = started["api"], started["relay"]
    url = f"http://127.0.0.1:{api.port('8000/tcp')}/openapi.json"

    def summary() -> str:
        try:
            with urlopen(url, timeout=5) as reply:
                return str(json.load(reply)["info"]["summary"])
        except OSError:
            return ""

    api.wait(lambda: bool(summary()), "it answers")
    relay.wait(lambda: "relay started" in relay.logs(), "it has started")
    file = sources / "fastapi_base/main.py"
    text = file.read_text()
    assert summary() in text
    file.write_text(text.replace(summary(), "Edited while it runs."))
    api.wait(lambda: summary() == "Edited while it runs.", "it serves the edited code")
    relay.wait(lambda: relay.logs().count("relay started") == 2, "it has restarted")


@pytest.mark.parametrize("name", ["api", "worker", "beat", "relay", "redis", "postgres"])
def test_stops_gracefully_on_request(service: Service, name: str) -> None:
    """Last, since it stops what the others need; process 1 gets the signal and exits cleanly."""
    container = service.containers[name]
    start = time.monotonic()
    assert container.stop() == 0, container.logs()
    assert time.monotonic() - start < 25
