"""Embedded Redis: on Linux the very file that the image holds, out of locked Debian packages.

Those are of Debian trixie and run on an older system through their own loader and libraries. On
macOS, and where no Debian mirror is known, an installed redis-server or valkey-server serves.
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
        """Make the data folder, or raise UpError when it cannot be used."""
        if self.data is None:
            return
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.data):
                pass
        except OSError as error:
            raise UpError(
                f"{self.data} cannot hold Redis' data ({error.strerror}): mend that, or choose "
                "another place with UP_DATA"
            ) from None

    def command(self, progress: packages.Progress = packages.quiet) -> list[str]:
        """How to start the server, with ``configuration`` on its standard input."""
        return [*program(progress), "-"]

    def configuration(self) -> bytes:
        """On standard input rather than as arguments, which every user of the machine can read."""
        lines = [f"bind {places.LOOPBACK}", f"port {self.port}", "daemonize no", "logfile ''"]
        if self.password:
            lines.append(f"requirepass {self.password}")
        if self.data is None:
            lines += ["save ''", "appendonly no"]
        else:
            lines += [f'dir "{self.data}"', "appendonly yes", "save 300 1"]
        return "\n".join([*lines, ""]).encode()

    def ready(self) -> bool:
        """True when it answers PING."""
        client = redis.Redis.from_url(self.url(), socket_timeout=5)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


def program(progress: packages.Progress = packages.quiet) -> list[str]:
    """The start of a command line that runs a Redis 8 server. Raises UpError."""
    installed = shutil.which("redis-server") or shutil.which("valkey-server")
    if sys.platform != "linux":
        if installed is None:
            raise UpError("no redis-server is installed: install one, as by `brew install redis`")
        return [installed]
    try:
        root = packages.root("redis", "Redis", progress)
    except packages.NoMirrorError as error:
        if installed:
            return [installed]
        raise UpError(f"{error}; or install redis-server") from None
    return packages.command(root, "usr/bin/redis-server")
