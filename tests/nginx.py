"""A real nginx with the configuration of ops/deploy/nginx, from locked Debian packages."""

import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.dev import guard, packages, places, postgres, waiting

CONFIGURATION = Path("ops/deploy/nginx/nginx.conf")
NAME = "api.example.com"
READY_SECONDS = 30.0


@dataclass(frozen=True)
class Nginx:
    """A running nginx: where it listens, and where it logs."""

    https: int
    http: int
    errors: Path
    requests: Path


@contextmanager
def nginx(servers: Sequence[str], certificate: Path, key: Path) -> Iterator[Nginx]:
    """An nginx in front of these servers (`host:port`)."""
    root = packages.root("nginx", "nginx")
    with tempfile.TemporaryDirectory(prefix="nginx-") as place:
        data = Path(place) / "data"
        data.mkdir()
        command = postgres.demoted(data)
        running = Nginx(
            places.free_port(), places.free_port(), Path(place) / "errors", data / "requests"
        )
        for source, name in ((certificate, "tls.crt"), (key, "tls.key")):
            (data / name).write_bytes(source.read_bytes())
        file = data / "nginx.conf"
        file.write_text(_fitted(CONFIGURATION.read_text(), running, servers, data))
        program = packages.command(root, "usr/sbin/nginx")
        arguments = ["-e", "stderr", "-c", str(file), "-g", "daemon off;"]
        with guard.process(
            [*command, *program, *arguments], running.errors, signal.SIGQUIT
        ) as popen:
            waiting.until_serves(
                popen, running.errors, lambda: places.listens(running.https), "nginx", READY_SECONDS
            )
            yield running


def _fitted(text: str, running: Nginx, servers: Sequence[str], data: Path) -> str:
    lines = [f"server {server} max_fails=1 fail_timeout=5s;" for server in servers]
    given = [
        "server 10.0.0.11:8000 max_fails=1 fail_timeout=5s;",
        "server 10.0.0.12:8000 max_fails=1 fail_timeout=5s;",
    ]
    replaced = {
        given[0]: "\n".join(lines),
        given[1]: "",
        "listen 443 ssl": f"listen {places.LOOPBACK}:{running.https} ssl",
        "listen 80 ": f"listen {places.LOOPBACK}:{running.http} ",
        "/etc/nginx/tls/": f"{data}/",
        "/run/nginx/": f"{data}/",
        "worker_processes auto;": "worker_processes 1;",
        "access_log /dev/stdout json;": f"access_log {running.requests} json;",
        "worker_connections 4096;": "worker_connections 256;",
    }
    for old, new in replaced.items():
        assert old in text, f"{CONFIGURATION} has no {old!r} any more"
        text = text.replace(old, new)
    return text
