"""States in which a Redis server runs but does not serve, and how to recover from each.

A server started with CONFIGURATION can be put into all of them, by a client that stays connected.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import redis

from ops.dev import places

#: For a server that writes its data into the current directory, under the name of a directory.
OCCUPIED = "occupied"
CONFIGURATION = f"""\
enable-debug-command yes
busy-reply-threshold 10
dbfilename {OCCUPIED}
""".encode()
PASSWORD = "of-the-server"
# Longer than any client of the service waits.
PAUSE_MILLISECONDS = 3500
#: It would refuse to exit while it cannot write.
END = signal.SIGKILL

State = Callable[[redis.Redis], AbstractContextManager[None]]


@contextlib.contextmanager
def demoted(server: redis.Redis) -> Iterator[None]:
    """A replica of an unresponsive primary: READONLY, and UNBLOCKED for waiting clients."""
    server.replicaof(places.LOOPBACK, "9")
    try:
        yield
    finally:
        server.replicaof("NO", "ONE")


@contextlib.contextmanager
def without_its_primary(server: redis.Redis) -> Iterator[None]:
    """A replica that must not serve stale data: MASTERDOWN."""
    with _configured(server, replica_serve_stale_data="no"), demoted(server):
        yield


@contextlib.contextmanager
def full(server: redis.Redis) -> Iterator[None]:
    """Out of memory: OOM."""
    with _configured(server, maxmemory="1"):
        yield


@contextlib.contextmanager
def disk_refuses(server: redis.Redis) -> Iterator[None]:
    """A snapshot could not be written: MISCONF."""
    with _configured(server, save="3600 1000"):
        server.bgsave()
        while server.info("persistence")["rdb_last_bgsave_status"] == "ok":
            pass
        yield


@contextlib.contextmanager
def other_password(server: redis.Redis) -> Iterator[None]:
    """The password was changed: WRONGPASS."""
    with _configured(server, requirepass="another"):
        _disconnect(server)
        yield
        _ask(server, "AUTH", "another")


@contextlib.contextmanager
def forbidden(server: redis.Redis) -> Iterator[None]:
    """The user lacks the permissions that workers need: NOPERM."""
    commands = ("brpop", "lpush", "zrem", "set")
    _ask(server, "ACL", "SETUSER", "default", *(f"-{name}" for name in commands))
    try:
        yield
    finally:
        _ask(server, "ACL", "SETUSER", "default", "+@all")


@contextlib.contextmanager
def crowded(server: redis.Redis) -> Iterator[None]:
    """The maximum number of clients is connected, and all others were disconnected."""
    with _configured(server, maxclients="1"):
        _disconnect(server)
        yield


@contextlib.contextmanager
def busy(server: redis.Redis) -> Iterator[None]:
    """A script runs: BUSY for all others."""
    with _told(server, "EVAL", "while true do end", "0"):
        try:
            yield
        finally:
            server.script_kill()
            while not _answers(server):
                pass


@contextlib.contextmanager
def paused(server: redis.Redis) -> Iterator[None]:
    """It does not respond for a while."""
    server.client_pause(PAUSE_MILLISECONDS)
    yield


@contextlib.contextmanager
def asleep(server: redis.Redis) -> Iterator[None]:
    """It does not even read for a while."""
    with _told(server, "DEBUG", "SLEEP", str(PAUSE_MILLISECONDS / 1000)):
        yield


@contextlib.contextmanager
def disconnected(server: redis.Redis) -> Iterator[None]:
    """All connections were closed."""
    _disconnect(server)
    yield


STATES: Mapping[str, State] = {
    state.__name__: state
    for state in (
        demoted,
        without_its_primary,
        full,
        disk_refuses,
        other_password,
        forbidden,
        crowded,
        busy,
        paused,
        asleep,
        disconnected,
    )
}


def _ask(server: redis.Redis, *command: str) -> None:
    server.execute_command(*command)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _configured(server: redis.Redis, **values: str) -> Iterator[None]:
    names = {name.replace("_", "-"): value for name, value in values.items()}
    before: dict[Any, Any] = {}
    for name, value in names.items():
        before |= server.config_get(name)
        server.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            server.config_set(name, value)


@contextlib.contextmanager
def _told(server: redis.Redis, *command: str) -> Iterator[None]:
    """Over another connection, whose reply nobody waits for."""
    connection: Any = server.connection_pool.make_connection()
    connection.send_command(*command)
    try:
        yield
    finally:
        connection.disconnect()


def _answers(server: redis.Redis) -> bool:
    try:
        return bool(server.ping())
    except redis.ResponseError:
        return False


def _disconnect(server: redis.Redis) -> None:
    for kind in ("normal", "pubsub"):
        _ask(server, "CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
