"""Every migration goes up, down and up; models and migrations agree; migrators take turns."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

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


def test_stairway(config: Config, empty_database_url: str) -> None:
    revisions = list(ScriptDirectory.from_config(config).walk_revisions())
    for script in reversed(revisions):
        below = script.down_revision or "base"
        assert isinstance(below, str)
        runner.upgrade(empty_database_url, script.revision)
        runner.downgrade(empty_database_url, below)
        runner.upgrade(empty_database_url, script.revision)


@pytest.mark.anyio
async def test_downgrade_to_base_leaves_nothing(empty_database_url: str) -> None:
    await asyncio.to_thread(runner.upgrade, empty_database_url)
    await asyncio.to_thread(runner.downgrade, empty_database_url, "base")
    engine = create_async_engine(empty_database_url, poolclass=NullPool)
    async with engine.connect() as connection:
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        tables = list(await connection.scalars(text(query)))
    assert tables == ["alembic_version"]


def test_migrators_that_start_at_once_migrate_once(empty_database_url: str) -> None:
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


def test_url_with_a_percent_sign(database_url: str) -> None:
    runner.check(database_url.replace("postgres:", "p%6Fstgres:"))
