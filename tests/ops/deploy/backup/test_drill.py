"""The recovery drill: data is written, lost and restored in a new server, compared row by row."""

import asyncio
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from fastapi_base.migrations import runner
from ops.deploy.backup import backup
from ops.dev import guard, places, postgres, waiting
from ops.dev.postgres import Postgres

PROGRAM = Path(backup.__file__)
DATABASE = "fastapi_base"


def environment(url: str) -> dict[str, str]:
    """The environment of an operator who has PostgreSQL's client programs."""
    folder = str(postgres.binaries())
    found = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "DATABASE_URL": url}
    prefix = postgres.program("pg_dump")
    if prefix[0] == "env":
        name, _, value = prefix[1].partition("=")
        found[name] = value
    return found


def run(url: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        env=environment(url),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def well(url: str, *arguments: object) -> str:
    done = run(url, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refused(url: str, *arguments: object) -> str:
    done = run(url, *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


@contextmanager
def running(server: Postgres) -> Iterator[None]:
    """Run the server until the end of the context."""
    log = server.data.with_name(f"{server.data.name}.log")
    with guard.process(server.command(), log, signal.SIGINT) as process:
        waiting.until_serves(process, log, server.ready, "PostgreSQL", 90)
        yield


def make(folder: Path, *options: str) -> Postgres:
    """A server that is not running yet."""
    password = secrets.token_urlsafe(12)
    given = (*postgres.THROWAWAY, *options)
    server = Postgres(folder / "data", places.free_port(), password, given)
    server.prepare(postgres.throwaway_run)
    return server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory that any user can traverse: the server does not run as root."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o755)
    return tmp_path


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def content(url: str) -> dict[str, tuple[int, str | None]]:
    """For each table its row count and a digest of its rows; and the columns of all tables."""
    connection = await asyncpg.connect(url)
    try:
        tables = [
            row["name"]
            for row in await connection.fetch(
                "SELECT format('%I', relname) AS name FROM pg_class"
                " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
            )
        ]
        found = {}
        for table in tables:
            row = await connection.fetchrow(
                "SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text))"
                f" FROM {table} AS t"
            )
            found[table] = (row[0], row[1])
        # Without the expression of a partial index's condition: PostgreSQL writes a list of texts
        # differently, with the same meaning, after it has read its own dump.
        row = await connection.fetchrow(
            "SELECT count(*), md5(string_agg(format('%s %s %s %s', indexrelid::regclass, indrelid::"
            "regclass, split_part(pg_get_indexdef(indexrelid), ' WHERE ', 1), indpred IS NULL),"
            " chr(10) ORDER BY indexrelid::regclass::text))"
            " FROM pg_index WHERE indrelid::regclass::text = ANY($1)",
            tables,
        )
        found["(indexes)"] = (row[0], row[1])
        return found
    finally:
        await connection.close()


def accounts(first: int, last: int) -> str:
    """Accounts as in production, with non-ASCII characters."""
    return (
        "INSERT INTO users (id, email, display_name, password_hash)"
        f" SELECT gen_random_uuid(), 'user' || n || '@example.com', 'Jürgen \\ \"' || n, 'x'"
        f" FROM generate_series({first}, {last}) AS n"
    )


def test_dump_is_restored_completely_into_a_new_server(folder: Path) -> None:
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    old, new = make(folder / "one"), make(folder / "two")
    with running(old), running(new):
        source = old.ensure_database(DATABASE, DATABASE, "of-the-service")
        target = new.ensure_database(DATABASE, DATABASE, "another")
        runner.upgrade(source.replace("postgresql://", "postgresql+asyncpg://"))
        asyncio.run(execute(source, accounts(1, 2000)))
        before = asyncio.run(content(source))
        assert before["users"][0] == 2000

        file = Path(well(source, "dump", folder / "backups"))
        assert file.stat().st_size > 1000
        well(source, "check", file)
        began = time.monotonic()
        well(target, "restore", file)
        seconds = time.monotonic() - began
        assert asyncio.run(content(target)) == before
        print(f"restored {before['users'][0]} accounts in {seconds:.1f} s")
        # The service's own checks: nothing to migrate, and the constraints exist.
        runner.upgrade(target.replace("postgresql://", "postgresql+asyncpg://"))
        with pytest.raises(asyncpg.UniqueViolationError):
            asyncio.run(execute(target, accounts(7, 7)))

        assert "the database is not empty" in refused(target, "restore", file)
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        assert "is not what" in refused(source, "check", file)
        assert "is not what" in refused(target, "restore", file)
        file.with_name(f"{file.name}.sha256").unlink()
        assert "No such file" in refused(source, "check", file)
        assert "DATABASE_URL: must look like" in refused("mysql://x", "dump", folder / "other")
        # The server has no TLS: the requirement of the URL is not ignored.
        assert "SSL" in refused(f"{source}?sslmode=require", "dump", folder / "other")
        assert "holds no table" in refused(new.url("postgres"), "dump", folder / "empty")
        assert list((folder / "empty").iterdir()) == []


async def now(url: str) -> str:
    """The server's time, after everything that was committed."""
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetchval("SELECT clock_timestamp()")
        return str(found.isoformat())
    finally:
        await connection.close()


def test_server_is_recovered_to_the_moment_before_the_accident(folder: Path) -> None:
    wal = folder / "wal"
    wal.mkdir()
    wal.chmod(0o777)
    archive = shlex.join([sys.executable, str(PROGRAM), "archive-wal"])
    (folder / "one").mkdir()
    old = make(
        folder / "one",
        "-carchive_mode=on",
        f"-carchive_command={archive} %p {shlex.quote(str(wal))}",
    )
    with running(old):
        source = old.ensure_database(DATABASE, DATABASE, "of-the-service")
        runner.upgrade(source.replace("postgresql://", "postgresql+asyncpg://"))
        asyncio.run(execute(source, accounts(1, 500)))
        base = Path(well(old.url(), "base", folder / "backups"))
        # After the base backup: this exists only in the WAL.
        asyncio.run(execute(source, accounts(501, 900)))
        before = asyncio.run(content(source))
        until = asyncio.run(now(source))
        asyncio.run(execute(source, "DELETE FROM users", accounts(2001, 2002)))
        assert asyncio.run(content(source))["users"][0] == 2
        asyncio.run(execute(old.url(), "SELECT pg_switch_wal()"))
        waiting.until(
            lambda: asyncio.run(archived(old.url())),
            "the archive of the WAL",
            60,
            said=lambda: str(sorted(wal.iterdir())),
        )

    data = folder / "two" / "data"
    assert "must look like" in refused("", "recover", base, wal, data, "--until", "yesterday")
    well("", "recover", base, wal, data, "--until", until)
    own(data, old.data)
    new = Postgres(data, places.free_port(), old.password, postgres.THROWAWAY)
    with running(new):
        recovered = new.url(DATABASE)
        waiting.until(lambda: not asyncio.run(in_recovery(recovered)), "the recovered server", 60)
        assert asyncio.run(content(recovered)) == before
        asyncio.run(execute(recovered, accounts(901, 901)))
    assert "is not empty" in refused("", "recover", base, wal, data, "--until", until)

    # A corrupted base backup is not used.
    victim = max(base.glob("base/*/*"), key=lambda file: file.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    assert "pg_verifybackup failed" in refused(
        "", "recover", base, wal, folder / "three", "--until", until
    )
    # Two servers that archive to one directory are detected.
    segment = next(file for file in sorted(wal.iterdir()) if len(file.name) == 24)
    other = folder / segment.name
    other.write_bytes(b"?" + segment.read_bytes()[1:])
    well("", "archive-wal", segment, wal)
    assert "two servers archive to one folder" in refused("", "archive-wal", other, wal)


def own(data: Path, like: Path) -> None:
    """Give the directory to the owner of the other one."""
    owner = like.stat()
    for path in (data, *data.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


async def archived(url: str) -> bool:
    """Whether all completed segments were archived."""
    connection = await asyncpg.connect(url)
    try:
        return bool(
            await connection.fetchval(
                "SELECT last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1)"
                " OR last_archived_wal >= pg_walfile_name(pg_switch_wal() - 1)"
                " FROM pg_stat_archiver"
            )
        )
    finally:
        await connection.close()


async def in_recovery(url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        return bool(await connection.fetchval("SELECT pg_is_in_recovery()"))
    finally:
        await connection.close()
