"""Real PostgreSQL and Redis for tests, empty and without durability.

TEST_SERVERS says where they run: ``containers`` (the project's images, passed to the tests as
archives) or ``embedded`` (programs of this machine, see ops/dev). Unset: containers if an engine
responds and the archives exist, else embedded.
"""

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from ops.dev import guard, places, postgres, waiting
from ops.dev.postgres import Postgres
from ops.dev.redis import Redis
from tests import containers

READY_SECONDS = 60.0


def mode() -> str:
    """``containers`` or ``embedded``. Raises ValueError for another TEST_SERVERS."""
    chosen = os.environ.get("TEST_SERVERS", "")
    if chosen not in ("", "containers", "embedded"):
        raise ValueError(f"TEST_SERVERS must be containers or embedded, not {chosen!r}")
    if chosen:
        return chosen
    here = containers.POSTGRES.archive.exists() and containers.REDIS.archive.exists()
    return "containers" if here and containers.engine_answers() else "embedded"


def postgres_server() -> AbstractContextManager[str]:
    """A separate server; yields the superuser's URL of its database ``postgres``."""
    return _contained_postgres() if mode() == "containers" else embedded_postgres()


def redis_server() -> AbstractContextManager[str]:
    """A separate server; yields the URL of its database 0."""
    return (
        _contained_redis() if mode() == "containers" else embedded_redis(Redis(places.free_port()))
    )


@contextmanager
def embedded_postgres(certificate: Path | None = None, key: Path | None = None) -> Iterator[str]:
    """A separate server as a process of this machine, in any mode; with TLS on request."""
    tls = ("-c", "ssl=on") if certificate else ()
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = Postgres(
            Path(folder) / "data",
            places.free_port(),
            secrets.token_urlsafe(12),
            (*postgres.THROWAWAY, *tls),
        )
        server.prepare(postgres.throwaway_run)
        owner = server.data.stat()
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            if source:
                target = server.data / name
                shutil.copy(source, target)
                target.chmod(0o600)
                os.chown(target, owner.st_uid, owner.st_gid)
        log = Path(folder) / "log"
        with guard.process(server.command(), log, signal.SIGINT) as process:
            waiting.until_serves(process, log, server.ready, "the server", READY_SECONDS)
            yield server.url()


@contextmanager
def embedded_redis(server: Redis) -> Iterator[str]:
    """This server as a process of this machine, in any mode."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        log = Path(folder) / "log"
        with guard.process(
            server.command(), log, signal.SIGTERM, server.configuration()
        ) as process:
            waiting.until_serves(process, log, server.ready, "the server", READY_SECONDS)
            yield server.url()


@contextmanager
def redis_with_tls(certificate: Path, key: Path, password: str | None = None) -> Iterator[str]:
    """A server that accepts only TLS; yields its rediss:// URL."""
    server = Redis(places.free_port(), password)
    lines = (
        "port 0",
        f"tls-port {server.port}",
        f"tls-cert-file {certificate}",
        f"tls-key-file {key}",
        "tls-auth-clients no",
    )
    configuration = server.configuration() + "\n".join([*lines, ""]).encode()
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        log = Path(folder) / "log"
        with guard.process(server.command(), log, signal.SIGTERM, configuration) as process:
            waiting.until_serves(
                process, log, lambda: places.listens(server.port), "the server", READY_SECONDS
            )
            yield server.url().replace("redis:", "rediss:")


@contextmanager
def _contained_postgres() -> Iterator[str]:
    password = secrets.token_urlsafe(12)
    environ = {"POSTGRES_PASSWORD": password}
    with containers.run(containers.POSTGRES, environ, postgres.THROWAWAY) as container:
        server = Postgres(Path(), container.port, password)
        _wait(server.ready, container)
        yield server.url()


@contextmanager
def _contained_redis() -> Iterator[str]:
    # Without a password Redis accepts only its own machine; the port is on loopback only.
    options = ("--protected-mode", "no", "--appendonly", "no", "--save", "")
    with containers.run(containers.REDIS, {}, options) as container:
        server = Redis(container.port)
        _wait(server.ready, container)
        yield server.url()


def _wait(ready: Callable[[], bool], container: containers.Container) -> None:
    waiting.until(ready, "the server", READY_SECONDS, runs=container.runs, said=container.logs)
