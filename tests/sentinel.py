"""A Redis primary, its replica and three Sentinels that watch them, as real processes."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from ops.dev import guard, places, waiting
from ops.dev.redis import Redis, program

MASTER, SENTINELS, QUORUM = "fastapi-base", 3, 2
PASSWORD, SENTINEL_PASSWORD = "servers-secret", "sentinels-secret"
READY_SECONDS = 30.0


@dataclass(frozen=True)
class Watched:
    """Connection data for a client, and the primary process to kill."""

    addresses: tuple[str, ...]
    first: subprocess.Popen[bytes]
    first_port: int


@dataclass(frozen=True)
class Encryption:
    """The certificate that a server presents, which is also its CA."""

    certificate: Path
    key: Path

    def lines(self, port: int) -> str:
        """The lines of a server's configuration, in which the last line of a kind wins."""
        return (
            f"port 0\ntls-port {port}\ntls-cert-file {self.certificate}\n"
            f"tls-key-file {self.key}\ntls-ca-cert-file {self.certificate}\n"
            "tls-auth-clients no\ntls-replication yes\n"
        )


@contextmanager
def watched(certificate: Path | None = None, key: Path | None = None) -> Iterator[Watched]:
    """Servers in agreement: the replica is in sync, and each Sentinel knows all others.

    With a certificate all of them accept only TLS, from each other too.
    """
    encryption = Encryption(certificate, key) if certificate and key else None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sentinel-")))
        primary, replica = (Redis(places.free_port(), PASSWORD) for _ in range(2))
        # A replica receives its initial state as a file, which the primary writes.
        common = f'masterauth {PASSWORD}\ndir "{folder}"\n'
        following = f"replicaof {places.LOOPBACK} {primary.port}\n"
        processes = [
            stack.enter_context(
                guard.process(
                    server.command(),
                    folder / f"{server.port}.log",
                    signal.SIGTERM,
                    server.configuration()
                    + f"{common}dbfilename {server.port}.rdb\n{extra}".encode()
                    + (encryption.lines(server.port) if encryption else "").encode(),
                )
            )
            for server, extra in ((primary, ""), (replica, following))
        ]
        waiting.until(
            lambda: all(_answers(server.port, encryption) for server in (primary, replica)),
            "the servers answer",
            READY_SECONDS,
        )
        ports = [places.free_port() for _ in range(SENTINELS)]
        for port in ports:
            configuration = folder / f"{port}.conf"
            configuration.write_text(
                _sentinel(port, primary.port, folder)
                + (encryption.lines(port) if encryption else "")
            )
            command = [*program(), str(configuration), "--sentinel"]
            stack.enter_context(guard.process(command, folder / f"{port}.log", signal.SIGTERM))
        waiting.until(
            lambda: all(_agrees(port, encryption) for port in ports),
            "the Sentinels know each other",
            READY_SECONDS,
        )
        addresses = tuple(f"{places.LOOPBACK}:{port}" for port in ports)
        yield Watched(addresses, processes[0], primary.port)


def _sentinel(port: int, primary: int, folder: Path) -> str:
    return "\n".join(
        [
            f"bind {places.LOOPBACK}",
            f"port {port}",
            f'dir "{folder}"',
            f"requirepass {SENTINEL_PASSWORD}",
            f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
            f"sentinel monitor {MASTER} {places.LOOPBACK} {primary} {QUORUM}",
            f"sentinel auth-pass {MASTER} {PASSWORD}",
            f"sentinel down-after-milliseconds {MASTER} 1000",
            f"sentinel failover-timeout {MASTER} 5000",
            "",
        ]
    )


def _client(port: int, password: str, encryption: Encryption | None) -> redis.Redis:
    return redis.Redis(
        host=places.LOOPBACK,
        port=port,
        password=password,
        decode_responses=True,
        ssl=encryption is not None,
        ssl_ca_certs=str(encryption.certificate) if encryption else None,
    )


def _answers(port: int, encryption: Encryption | None) -> bool:
    client = _client(port, PASSWORD, encryption)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def _agrees(port: int, encryption: Encryption | None) -> bool:
    client = _client(port, SENTINEL_PASSWORD, encryption)
    try:
        seen: Any = client.sentinel_master(MASTER)
    except redis.RedisError:
        return False
    finally:
        client.close()
    return bool(seen["num-slaves"] == 1 and seen["num-other-sentinels"] == SENTINELS - 1)
