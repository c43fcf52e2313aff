"""Embedded Redis: on Linux the same file as in the image, from locked Debian packages.

They are built for Debian trixie and run on older systems with their own loader and libraries. On
macOS, and where no Debian mirror is known, an installed redis-server or valkey-server is used.
"""

import shutil
import sys
import tempfile
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import redis

from ops.dev import packages, places
from ops.dev.errors import UpError


@dataclass(frozen=True)
class Redis:
    """A server that is not running yet. Without ``data`` it keeps nothing on disk."""

    port: int
    password: str | None = None
    data: Path | None = None

    def url(self, database: int = 0) -> str:
        """Its address."""
        secret = f":{urllib.parse.quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{secret}{places.LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Create the data folder, or raise UpError if it cannot be used."""
        if self.data is None:
            return
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.data):
                pass
        except OSError as error:
            raise UpError(
                f"{self.data} is not usable for Redis data ({error.strerror}): fix it, or choose "
                "another directory with UP_DATA"
            ) from None

    def command(self, progress: packages.Progress = packages.quiet) -> list[str]:
        """The command line of the server, which reads ``configuration`` from its standard input."""
        return [*program(progress), "-"]

    def configuration(self) -> bytes:
        """Passed on standard input, since every user of the machine can read arguments."""
        lines = [f"bind {places.LOOPBACK}", f"port {self.port}", "daemonize no", "logfile ''"]
        if self.password:
            lines.append(f"requirepass {self.password}")
        if self.data is None:
            lines += ["save ''", "appendonly no"]
        else:
            lines += [f'dir "{self.data}"', "appendonly yes", "save 300 1"]
        return "\n".join([*lines, ""]).encode()

    def ready(self) -> bool:
        """True once it accepts a write: it is loaded, knows the password, and is not a replica."""
        client = redis.Redis.from_url(self.url(), socket_timeout=5)
        try:
            return bool(client.set("ready", "1", px=1))
        except redis.RedisError:
            return False
        finally:
            client.close()


def program(progress: packages.Progress = packages.quiet) -> list[str]:
    """The command line prefix that runs a Redis 8 server. Raises UpError."""
    installed = shutil.which("redis-server") or shutil.which("valkey-server")
    if sys.platform != "linux":
        if installed is None:
            raise UpError(
                "redis-server is not installed: install it, for example with `brew install redis`"
            )
        return [installed]
    try:
        root = packages.root("redis", "Redis", progress)
    except packages.NoMirrorError as error:
        if installed:
            return [installed]
        raise UpError(f"{error}; or install redis-server") from None
    return packages.command(root, "usr/bin/redis-server")
