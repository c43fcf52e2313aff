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
    """What a client needs to know, and the primary to be killed."""

    addresses: tuple[str, ...]
    first: subprocess.Popen[bytes]
    first_port: int


@contextmanager
def watched() -> Iterator[Watched]:
    """Servers in agreement: the replica follows, and each Sentinel knows all others."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sentinel-")))
        primary, replica = (Redis(places.free_port(), PASSWORD) for _ in range(2))
        # A replica gets its first state as a file, by way of one that the primary writes.
        common = f'masterauth {PASSWORD}\ndir "{folder}"\n'
        following = f"replicaof {places.LOOPBACK} {primary.port}\n"
        processes = [
            stack.enter_context(
                guard.process(
                    server.command(),
                    folder / f"{server.port}.log",
                    signal.SIGTERM,
                    server.configuration()
                    + f"{common}dbfilename {server.port}.rdb\n{extra}".encode(),
                )
            )
            for server, extra in ((primary, ""), (replica, following))
        ]
        waiting.until(
            lambda: primary.ready() and replica.ready(), "the servers' answers", READY_SECONDS
        )
        ports = [places.free_port() for _ in range(SENTINELS)]
        for port in ports:
            configuration = folder / f"{port}.conf"
            configuration.write_text(_sentinel(port, primary.port, folder))
            command = [*program(), str(configuration), "--sentinel"]
            stack.enter_context(guard.process(command, folder / f"{port}.log", signal.SIGTERM))
        waiting.until(
            lambda: all(_agrees(port) for port in ports),
            "what the Sentinels know of each other",
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


def _agrees(port: int) -> bool:
    client = redis.Redis(
        host=places.LOOPBACK, port=port, password=SENTINEL_PASSWORD, decode_responses=True
    )
    try:
        seen: Any = client.sentinel_master(MASTER)
    except redis.RedisError:
        return False
    finally:
        client.close()
    return bool(seen["num-slaves"] == 1 and seen["num-other-sentinels"] == SENTINELS - 1)
