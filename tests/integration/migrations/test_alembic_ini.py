"""`alembic` as people and editors run it, with alembic.ini and settings from the environment."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.processes import environment

VERSIONS = "src/fastapi_base/migrations/versions"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy, since `alembic revision` writes into the sources."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree("src/fastapi_base", tmp_path / "src/fastapi_base", ignore=ignored)
    shutil.copy("alembic.ini", tmp_path)
    return tmp_path


def alembic(tree: Path, url: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=tree,
        env=environment(DATABASE_URL=url),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_alembic_uses_the_settings(tree: Path, empty_database_url: str) -> None:
    newest = max(file.name[:4] for file in (tree / VERSIONS).glob("0*.py"))
    alembic(tree, empty_database_url, "upgrade", "head")
    assert f"{newest} (head)" in alembic(tree, empty_database_url, "current")
    assert "No new upgrade operations" in alembic(tree, empty_database_url, "check")


def test_alembic_writes_a_migration_with_the_given_number(tree: Path, database_url: str) -> None:
    newest = max(int(file.name[:4]) for file in (tree / VERSIONS).glob("0*.py"))
    number = f"{newest + 1:04d}"
    alembic(
        tree,
        database_url,
        *("revision", "--autogenerate", "--rev-id", number, "-m", "add colours"),
    )
    made = (tree / VERSIONS / f"{number}_add_colours.py").read_text()
    assert f"down_revision: str | None = {newest:04d}" in re.sub("['\"]", "", made)
