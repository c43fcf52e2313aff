"""Embedded Redis: on Linux the very file that the image holds, out of locked Debian packages.

Those are of Debian trixie and run on an older system through their own loader and libraries. On
macOS, and where no Debian mirror is known, an installed redis-server or valkey-server serves.
"""

import shutil
import sys
import tempfile
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import redis
from filelock import FileLock

from ops.debian import deb, fetch, lock, mirrors
from ops.dev import places
from ops.dev.errors import UpError

LOCK = Path(__file__).parents[2] / "3rdparty/debian/redis.lock"

Progress = Callable[[str], None]


def _quiet(_: str) -> None:
    pass


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

    def command(self, progress: Progress = _quiet) -> list[str]:
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


def program(progress: Progress = _quiet) -> list[str]:
    """The start of a command line that runs a Redis 8 server. Raises UpError."""
    installed = shutil.which("redis-server") or shutil.which("valkey-server")
    if sys.platform != "linux":
        if installed is None:
            raise UpError("no redis-server is installed: install one, as by `brew install redis`")
        return [installed]
    architecture = places.debian_architecture()
    try:
        packages = [p for p in lock.read(LOCK) if p.architecture == architecture]
    except lock.LockError as error:
        raise UpError(str(error)) from None
    identity = sha256("".join(p.sha256 for p in packages).encode()).hexdigest()[:16]
    root = places.cache() / "redis" / identity
    if not root.is_dir():
        try:
            _unpack(packages, root, progress)
        except mirrors.MirrorError as error:
            if installed:
                return [installed]
            raise UpError(f"Redis: {error}; or install redis-server") from None
        except fetch.FetchError as error:
            raise UpError(f"Redis: {error}") from None
    triplet = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[architecture]
    libraries = root / "usr/lib" / triplet
    loader = next(libraries.glob("ld-linux-*.so.*"))
    server = root / "usr/bin/redis-server"
    return [str(loader), "--library-path", str(libraries), "--argv0", "redis-server", str(server)]


def _unpack(packages: list[lock.Package], root: Path, progress: Progress) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{root}.lock"):
        if root.is_dir():
            return
        total = sum(package.size for package in packages) / 1e6
        progress(f"fetching Redis ({len(packages)} Debian packages, {total:.0f} MB)")
        files = fetch.fetch(packages, places.cache() / "debian", mirrors.find())
        with tempfile.TemporaryDirectory(dir=root.parent) as work:
            fresh = Path(work) / "root"
            for file in files:
                deb.unpack(file, fresh)
            fresh.rename(root)
