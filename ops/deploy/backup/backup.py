"""Back up and restore PostgreSQL. Requires only PostgreSQL's client programs and this file.

    backup.py dump FOLDER             dump the database to one file
    backup.py check FILE              verify a dump
    backup.py restore FILE            restore a dump into an empty database
    backup.py base FOLDER             copy the server's files, for point-in-time recovery
    backup.py recover BASE WAL DATA --until TIME
    backup.py archive-wal FILE FOLDER        as archive_command
    backup.py fetch-wal FOLDER NAME TARGET   as restore_command

DATABASE_URL names the server; `base` needs a role with REPLICATION. docs/deploying.md explains when
to use which. Exit code 0 means success; a failure prints its cause and leaves no partial file.
"""

import argparse
import datetime
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

PART = ".part"
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# URL parameters that libpq takes as variables, and those that only the service uses.
PARAMETERS = {
    "application_name": "PGAPPNAME",
    "channel_binding": "PGCHANNELBINDING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "gssencmode": "PGGSSENCMODE",
    "options": "PGOPTIONS",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
SERVICE_ONLY = {
    "pgbouncer",
    "prepared_statements",
    "prepared_statement_cache_size",
    "statement_cache_size",
}


class BackupError(Exception):
    """What went wrong, and the remedy."""


def server(environ: Mapping[str, str]) -> dict[str, str]:
    """libpq's variables for DATABASE_URL, so that no password appears in a program's arguments.

    The TLS mode is the strictest of the URL's and DATABASE_SSL_MODE. Raises BackupError.
    """
    url = environ["DATABASE_URL"].strip().strip("\"'")
    parts = urlsplit(url.replace("postgresql+asyncpg://", "postgresql://", 1))
    login, _, places = parts.netloc.rpartition("@")
    if "@" in login + parts.path + parts.query or "#" in url:
        raise BackupError(
            "DATABASE_URL: user and password must be percent-encoded: %40 for @, %2F for /, %3F for"
            " ?, %23 for #, %25 for %"
        )
    user, _, password = login.partition(":")
    given = dict(parse_qsl(parts.query))
    places = given.pop("host", places)
    name = unquote(parts.path.removeprefix("/"))
    if parts.scheme not in ("postgresql", "postgres") or not places or not name:
        raise BackupError("DATABASE_URL: must look like postgresql://user:password@host:5432/name")
    hosts = [_place(unquote(place)) for place in places.split(",")]
    found = {
        "PGHOST": ",".join(host for host, _ in hosts),
        "PGPORT": given.pop("port", ",".join(port or "5432" for _, port in hosts)),
        "PGUSER": unquote(user),
        "PGPASSWORD": unquote(password),
        "PGDATABASE": name,
    }
    ssl = given.pop("ssl", "")
    asked = (given.pop("sslmode", ""), {"true": "require", "false": "disable"}.get(ssl, ssl))
    modes = [mode for mode in (*asked, environ.get("DATABASE_SSL_MODE", "")) if mode]
    if unknown := [mode for mode in modes if mode not in MODES]:
        raise BackupError(f"{unknown[0]}: must be one of {', '.join(MODES)}")
    if file := given.pop("sslrootcert", environ.get("DATABASE_SSL_CA_FILE", "")):
        found["PGSSLROOTCERT"] = file
        # As in the service: an authority is only useful if the certificate is verified.
        modes.append("verify-full" if file == "system" else "verify-ca")
    if modes:
        found["PGSSLMODE"] = max(modes, key=MODES.index)
    for parameter in SERVICE_ONLY & given.keys():
        del given[parameter]
    if unknown := sorted(given.keys() - PARAMETERS.keys()):
        raise BackupError(f"DATABASE_URL: the parameter {unknown[0]} is not supported: remove it")
    return found | {PARAMETERS[parameter]: value for parameter, value in given.items()}


def _place(text: str) -> tuple[str, str]:
    """Host and port; an IPv6 address without its brackets, as libpq's variables expect it."""
    host, bracket, port = text.removeprefix("[").partition("]")
    if not bracket and not text.startswith("/"):
        host, _, port = text.partition(":")
    return host, port.removeprefix(":")


def run(*command: str) -> str:
    """Run a PostgreSQL program and return its output. Raises BackupError."""
    variables = server(os.environ) if os.environ.get("DATABASE_URL") else {}
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise BackupError(f"{command[0]} is not in PATH: install PostgreSQL's client") from None
    if done.returncode:
        raise BackupError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout


def dump(folder: Path, now: datetime.datetime) -> Path:
    """Dump the database to a new file with a checksum file beside it; returns the path."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{now:%Y%m%dT%H%M%SZ}.dump"
    if target.exists():
        raise BackupError(f"{target} is there already")
    part = target.with_name(target.name + PART)
    try:
        run("pg_dump", "--format=custom", "--compress=zstd:6", f"--file={part}")
        _contents(part)
        _sum_file(target).write_text(f"{_sha256(part)}  {target.name}\n", encoding="ascii")
        _settle(part)
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def check(file: Path) -> None:
    """Raises BackupError unless the dump is unmodified and readable."""
    expected = _read(_sum_file(file)).split()[:1]
    if not file.is_file() or [_sha256(file)] != expected:
        raise BackupError(f"{file} is not what {_sum_file(file).name} says: take another backup")
    _contents(file)


def restore(file: Path) -> None:
    """Restore into an empty database, in one transaction. Raises BackupError."""
    check(file)
    query = (
        "SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'S')"
    )
    if run("psql", "--no-psqlrc", "--tuples-only", "--command", query).strip() != "0":
        raise BackupError("the database is not empty: restore into a new one, and switch over")
    name = server(os.environ)["PGDATABASE"]
    options = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges")
    run("pg_restore", *options, f"--dbname={name}", str(file))


def base(folder: Path, now: datetime.datetime) -> Path:
    """Copy the running server's files and verify them against their manifest; returns the
    folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{now:%Y%m%dT%H%M%SZ}.base"
    part = target.with_name(target.name + PART)
    try:
        run(
            "pg_basebackup",
            f"--pgdata={part}",
            "--format=plain",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--manifest-checksums=SHA256",
        )
        run("pg_verifybackup", "--quiet", str(part))
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def recover(source: Path, wal: Path, data: Path, until: str) -> None:
    """Create a data folder whose server recovers to the state at ``until`` when it starts.

    The server then accepts connections and archives nothing. ``until`` is a time as PostgreSQL
    parses it, with a zone. Raises BackupError.
    """
    if not wal.is_dir():
        raise BackupError(f"{wal} is not the folder of the archived WAL")
    if data.exists() and any(data.iterdir()):
        raise BackupError(f"{data} is not empty: recover into a new folder")
    try:
        when = datetime.datetime.fromisoformat(until)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise BackupError(f"--until {until}: must look like 2026-11-25T01:30:00+00:00")
    run("pg_verifybackup", "--quiet", str(source))
    shutil.copytree(source, data, dirs_exist_ok=True, symlinks=True)
    data.chmod(0o700)
    command = shlex.join([sys.executable, str(Path(__file__).absolute()), "fetch-wal", str(wal)])
    settings = {
        "restore_command": f"{command} %f %p",
        "recovery_target_time": when.isoformat(sep=" "),
        "recovery_target_action": "promote",
        "archive_mode": "off",
    }
    with (data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        for name, value in settings.items():
            quoted = value.replace("'", "''")
            file.write(f"{name} = '{quoted}'\n")
    (data / "recovery.signal").touch()


def archive_wal(file: Path, folder: Path) -> None:
    """Archive a completed segment; it is durable when this returns.

    Never replaces a segment of the same name (PostgreSQL's manual, "Setting Up WAL Archiving"): two
    servers that archive to one folder are an error that must be noticed.
    """
    target = folder / file.name
    if target.exists():
        if _sha256(target) != _sha256(file):
            raise BackupError(f"{target} is there and different: two servers archive to one folder")
        return
    part = target.with_name(f"{target.name}.{os.getpid()}{PART}")
    try:
        shutil.copyfile(file, part)
        _settle(part)
        part.rename(target)
        _settle(folder)
    finally:
        part.unlink(missing_ok=True)


def fetch_wal(folder: Path, name: str, target: Path) -> None:
    """Copy a segment for the server. Raises BackupError if there is none, which ends a recovery."""
    if not (folder / name).is_file():
        raise BackupError(f"{folder} has no {name}")
    shutil.copyfile(folder / name, target)


def _contents(file: Path) -> None:
    if "TABLE DATA" not in run("pg_restore", "--list", str(file)):
        raise BackupError(f"{file} holds no table: was this the right database?")


def _sum_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except OSError as error:
        raise BackupError(f"{file}: {error.strerror}") from None


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _settle(path: Path) -> None:
    """Flush to disk, so that it survives a power failure."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="backup.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, paths in {
        "dump": ("folder",),
        "check": ("file",),
        "restore": ("file",),
        "base": ("folder",),
        "recover": ("base", "wal", "data"),
        "archive-wal": ("file", "folder"),
        "fetch-wal": ("folder", "name", "target"),
    }.items():
        command = commands.add_parser(name)
        for path in paths:
            command.add_argument(path, type=str if path == "name" else Path)
        if name == "recover":
            command.add_argument("--until", required=True)
    given = parser.parse_args(arguments)
    now = datetime.datetime.now(datetime.UTC)
    try:
        match given.command:
            case "dump":
                print(dump(given.folder, now))
            case "check":
                check(given.file)
            case "restore":
                restore(given.file)
            case "base":
                print(base(given.folder, now))
            case "recover":
                recover(given.base, given.wal, given.data, given.until)
            case "archive-wal":
                archive_wal(given.file, given.folder)
            case "fetch-wal":
                fetch_wal(given.folder, given.name, given.target)
    except (BackupError, OSError) as error:
        print(f"backup: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
