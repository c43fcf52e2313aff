"""The entry point of the PostgreSQL image: creates the data folder once, then runs the server.

It supports the variables of the official image: POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE),
POSTGRES_USER (default: postgres), POSTGRES_DB (default: the user's name), POSTGRES_HOST_AUTH_METHOD
(default: scram-sha-256), PGDATA. Arguments go to the server. POSTGRES_DURABILITY=off disables
durability for tests, whose data need not survive a crash.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

PROGRAMS = Path("/usr/lib/postgresql/17/bin")
SOCKETS = Path("/run/postgresql")
NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class SetupError(Exception):
    """A problem that prevents the server from starting, with its remedy."""


def variable(environ: Mapping[str, str], name: str, default: str = "") -> str:
    """A variable, or the content of the file that NAME_FILE names."""
    if file := environ.get(f"{name}_FILE"):
        return Path(file).read_text(encoding="utf-8").rstrip("\n")
    return environ.get(name) or default


def initialise(data: Path, environ: Mapping[str, str]) -> None:
    """Create the data folder with its user and database; an interrupted run leaves none."""
    user = variable(environ, "POSTGRES_USER", "postgres")
    password = variable(environ, "POSTGRES_PASSWORD")
    database = variable(environ, "POSTGRES_DB", user)
    method = variable(environ, "POSTGRES_HOST_AUTH_METHOD", "scram-sha-256")
    if not password and method != "trust":
        raise SetupError(
            "POSTGRES_PASSWORD is not set: give the superuser a password, or set "
            "POSTGRES_HOST_AUTH_METHOD=trust to let everybody in who can reach the server"
        )
    fresh = data.with_name(f".{data.name}.new")
    if fresh.exists():
        shutil.rmtree(fresh)
    command = [
        str(PROGRAMS / "initdb"),
        f"--pgdata={fresh}",
        f"--username={user}",
        "--encoding=UTF8",
        # PostgreSQL's own collation sorts alike with any version of the C library.
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--auth-local=trust",
        f"--auth-host={method}",
        # The image contains no LLVM.
        "--set=jit=off",
        "--no-instructions",
    ]
    if password:
        run(command, password, "--pwfile=/dev/stdin")
    else:
        run(command, "")
    with (fresh / "pg_hba.conf").open("a", encoding="utf-8") as rules:
        rules.write(f"host all all all {method}\n")
    if database not in ("postgres", "template1"):
        name = database.replace('"', '""')
        single = [str(PROGRAMS / "postgres"), "--single", "-D", str(fresh), "postgres"]
        run(single, f'CREATE DATABASE "{name}"\n')
    fresh.rename(data)


def run(command: Sequence[str], stdin: str, *more: str) -> None:
    """Run a setup step. Raises SetupError with its output."""
    done = subprocess.run(
        [*command, *more], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode or "ERROR:" in done.stderr:
        raise SetupError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")


def server(environ: Mapping[str, str], data: Path, arguments: Sequence[str]) -> list[str]:
    """The command line of the server."""
    settings = ["listen_addresses=*"]
    # On a read-only root without a tmpfs there, the server uses only TCP.
    writable = os.access(SOCKETS, os.W_OK)
    settings.append(f"unix_socket_directories={SOCKETS if writable else ''}")
    if environ.get("POSTGRES_DURABILITY", "on") == "off":
        settings += NOT_DURABLE
    options = [word for setting in settings for word in ("-c", setting)]
    own = arguments[1:] if arguments and arguments[0] == "postgres" else arguments
    return [str(PROGRAMS / "postgres"), "-D", str(data), *options, *own]


def main() -> NoReturn:
    """Exec the server, which then is process 1 and receives the signals."""
    data = Path(os.environ["PGDATA"])
    # The server requires that nobody else can read its files.
    os.umask(0o077)
    try:
        if not (data / "PG_VERSION").exists():
            initialise(data, os.environ)
    except (OSError, SetupError) as error:
        sys.exit(f"postgres image: {error}")
    command = server(os.environ, data, sys.argv[1:])
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
