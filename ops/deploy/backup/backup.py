"""Backs up PostgreSQL and restores it. Needs its client programs and this file, nothing else.

    backup.py dump FOLDER             all of the database, in one file
    backup.py check FILE              whether a dump is whole
    backup.py restore FILE            into an empty database
    backup.py base FOLDER             the server's files, for recovery to a point in time
    backup.py recover BASE WAL DATA --until TIME
    backup.py archive-wal FILE FOLDER        as archive_command
    backup.py fetch-wal FOLDER NAME TARGET   as restore_command

The server is that of DATABASE_URL; `base` needs a role with REPLICATION. docs/deploying.md tells
when to use which. Exit code 0 is success; all else says what was wrong, and leaves no half file.
"""

import argparse
import datetime
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

PART = ".part"


class BackupError(Exception):
    """What went wrong, and what would be right."""


def server(url: str) -> dict[str, str]:
    """libpq's variables for an address, so that no password is among a program's arguments."""
    parts = urlsplit(url.replace("postgresql+asyncpg://", "postgresql://", 1))
    name = unquote(parts.path.removeprefix("/"))
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not name:
        raise BackupError("DATABASE_URL: must look like postgresql://user:password@host:5432/name")
    return {
        "PGHOST": parts.hostname,
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": name,
    }


def run(*command: str) -> str:
    """What a program of PostgreSQL prints. Raises BackupError."""
    url = os.environ.get("DATABASE_URL", "")
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(server(url) if url else {})},
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
    """Write the database to a file of its own, and its checksum beside it; give its path."""
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
    """Raises BackupError unless the dump is what was written, and can be read."""
    expected = _read(_sum_file(file)).split()[:1]
    if not file.is_file() or [_sha256(file)] != expected:
        raise BackupError(f"{file} is not what {_sum_file(file).name} says: take another backup")
    _contents(file)


def restore(file: Path) -> None:
    """Fill an empty database, all of it or nothing. Raises BackupError."""
    check(file)
    query = (
        "SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'S')"
    )
    if run("psql", "--no-psqlrc", "--tuples-only", "--command", query).strip() != "0":
        raise BackupError("the database is not empty: restore into a new one, and switch over")
    name = server(os.environ["DATABASE_URL"])["PGDATABASE"]
    options = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges")
    run("pg_restore", *options, f"--dbname={name}", str(file))


def base(folder: Path, now: datetime.datetime) -> Path:
    """Copy the running server's files, and verify them by their manifest; give the folder."""
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
    """Make a data folder that, when its server starts, becomes what it was at ``until``.

    The server then takes connections and archives to nowhere. ``until`` is a time as PostgreSQL
    reads it, with a zone. Raises BackupError.
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
    """Keep a segment that the server has filled; it counts as kept when this returns.

    Never replaces one of the same name (PostgreSQL's manual, "Setting Up WAL Archiving"): another
    server that archives to the same folder is a mistake that must be seen.
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
    """Give the server a segment. Raises BackupError when there is none, which ends a recovery."""
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
    """On the disk, also after a power cut."""
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
