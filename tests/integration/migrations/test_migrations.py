"""Every migration upgrades, downgrades and upgrades again; models match; migrators take turns."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner

from fastapi_base.cli.main import app
from fastapi_base.migrations import runner
from tests.integration.processes import environment


@pytest.fixture
def config(empty_database_url: str) -> Iterator[Config]:
    with runner.configuration(empty_database_url) as made:
        yield made


def test_models_and_migrations_agree(database_url: str) -> None:
    runner.check(database_url)


def test_there_is_one_head(config: Config) -> None:
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1


def test_every_migration_upgrades_downgrades_and_upgrades(
    config: Config, empty_database_url: str
) -> None:
    revisions = list(ScriptDirectory.from_config(config).walk_revisions())
    for script in reversed(revisions):
        below = script.down_revision or "base"
        assert isinstance(below, str)
        runner.upgrade(empty_database_url, script.revision)
        runner.downgrade(empty_database_url, below)
        runner.upgrade(empty_database_url, script.revision)


@pytest.mark.anyio
async def test_interrupted_index_build_is_repeated(empty_database_url: str) -> None:
    await asyncio.to_thread(runner.upgrade, empty_database_url, "0026")
    engine = create_async_engine(empty_database_url, poolclass=NullPool)
    name = "ix_jobs_state_created_at_id"
    async with engine.begin() as connection:
        # As a failed CREATE INDEX CONCURRENTLY leaves it.
        await connection.execute(
            text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(:name)"),
            {"name": name},
        )
        await connection.execute(text("UPDATE alembic_version SET version_num = '0025'"))
    await asyncio.to_thread(runner.upgrade, empty_database_url)
    async with engine.connect() as connection:
        invalid = text("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
        assert await connection.scalar(invalid) == 0


@pytest.mark.anyio
async def test_downgrade_to_base_leaves_an_empty_schema(empty_database_url: str) -> None:
    await asyncio.to_thread(runner.upgrade, empty_database_url)
    await asyncio.to_thread(runner.downgrade, empty_database_url, "base")
    engine = create_async_engine(empty_database_url, poolclass=NullPool)
    async with engine.connect() as connection:
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        tables = list(await connection.scalars(text(query)))
    assert tables == ["alembic_version"]


def test_concurrent_migrators_migrate_once(empty_database_url: str) -> None:
    command = [sys.executable, "-m", "fastapi_base.cli", "migrate"]
    migrators = [
        subprocess.Popen(
            command,
            env=environment(DATABASE_URL=empty_database_url, LOG_FORMAT="json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    outputs = [migrator.communicate(timeout=90) for migrator in migrators]
    assert [migrator.returncode for migrator in migrators] == [0, 0, 0], outputs
    runs = "".join(errors for _, errors in outputs).count("Running upgrade  -> 0001")
    assert runs == 1, outputs


@pytest.mark.anyio
@pytest.mark.parametrize("command", [["migrate"], ["make-migration", "x"]])
async def test_long_wait_for_another_migration_is_reported_as_such(
    database_url: str, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(runner, "LOCK_PATIENCE_SECONDS", 0.1)
    monkeypatch.setenv("DATABASE_URL", database_url)
    engine = create_async_engine(database_url, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(text(f"SELECT pg_advisory_lock({runner.ADVISORY_LOCK})"))
        result = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert result.exit_code == 1
    assert "another migration has been running for 0.1 s" in result.stderr
    assert "does not answer" not in result.stderr


def test_url_with_a_percent_sign(database_url: str) -> None:
    runner.check(database_url.replace("postgres:", "p%6Fstgres:"))
