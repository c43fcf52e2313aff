"""`make migration` writes a migration for changed models, wherever a database runs or not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MODEL = "src/fastapi_base/models/flags/flag.py"
VERSIONS = "src/fastapi_base/migrations/versions"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the service and of the command."""
    for place in ("src", "ops", "3rdparty"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(place, tmp_path / "a tree" / place, ignore=ignored)
    return tmp_path / "a tree"


def migration(tree: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(tree / "src"), str(tree), *sys.path[1:]])
    return subprocess.run(
        [sys.executable, "-m", "ops.dev.migration", *arguments],
        cwd=tree,
        # The database that a person's settings name does not matter.
        env={
            **os.environ,
            "PYTHONPATH": path,
            "DATABASE_URL": "postgresql://u:p@127.0.0.1:9/x",
            **environ,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def added(tree: Path) -> Path:
    """The only migration of the copy that is not in this tree."""
    (new,) = {path.name for path in (tree / VERSIONS).glob("*.py")} - {
        path.name for path in Path(VERSIONS).glob("*.py")
    }
    return tree / VERSIONS / new


def test_change_of_a_model_becomes_a_migration(tree: Path) -> None:
    model = tree / MODEL
    column = "    colour: str | None = Field(default=None, sa_type=String(7))\n"
    text = model.read_text()
    assert "    name: str = Field(" in text
    model.write_text(text.replace("    name: str = Field(", f"{column}    name: str = Field("))
    done = migration(tree, "add colour to flags")
    assert done.returncode == 0, done.stderr
    written = added(tree)
    assert f"Written: {written}" in done.stdout
    assert written.name.endswith("_add_colour_to_flags.py")
    assert "op.add_column('flag_overrides', sa.Column('colour'" in written.read_text()
    again = migration(tree, "nothing")
    assert "It is empty, because models and migrations agree" in again.stdout


def test_missing_message_shows_the_usage(tree: Path) -> None:
    done = migration(tree, "")
    assert (done.returncode, done.stderr) == (
        2,
        'usage: make migration MESSAGE="add colour to items"\n',
    )


def test_missing_database_is_reported_in_one_sentence(tree: Path, tmp_path: Path) -> None:
    # PostgreSQL cannot be unpacked below a file.
    (tmp_path / "file").touch()
    done = migration(tree, "add colour", FASTAPI_BASE_CACHE=str(tmp_path / "file/cache"))
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert said.startswith("make migration: the embedded database: ")
