"""The SQL of every migration, checked by squawk: statements that lock a busy table fail."""

import io
import re
import subprocess
from importlib.metadata import files

import pytest
from alembic import command
from alembic.script import ScriptDirectory

from fastapi_base.migrations import runner

NOWHERE = "postgresql+asyncpg://nobody@nowhere/nothing"
SETTINGS = "SET lock_timeout = '5s';\n"
# Rules that the migrations here do not follow, each with its reason.
EXCLUDED = (
    # A bound on text is a domain rule here, and PostgreSQL widens it without a rewrite.
    "prefer-text-field",
    # Columns that count few things.
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    # Building an index on a large table takes long, and may.
    "require-statement-timeout",
)
# Deliberate violations, by the number of the migration, each with its reason.
MEANT = {
    # Before the first release no table was busy.
    "0008": {"require-concurrent-index-creation"},
    "0012": {"require-concurrent-index-creation", "constraint-missing-not-valid"},
}


def scripts() -> list[tuple[str, str]]:
    """Each migration and its predecessor."""
    with runner.configuration(NOWHERE) as config:
        found = ScriptDirectory.from_config(config).walk_revisions()
        return [(script.revision, str(script.down_revision or "base")) for script in found]


def sql(revision: str, below: str) -> str:
    """The SQL that the migration would run."""
    with runner.configuration(NOWHERE) as config:
        config.output_buffer = io.StringIO()
        command.upgrade(config, f"{below}:{revision}", sql=True)
        return config.output_buffer.getvalue()


@pytest.fixture(scope="module")
def squawk() -> str:
    """The squawk executable from its wheel, which need not be on PATH."""
    (program,) = [file for file in files("squawk-cli") or [] if file.name == "squawk"]
    return str(program.locate())


def judged(squawk: str, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [squawk, "--pg-version=17", "--reporter=gcc", f"--exclude={','.join(EXCLUDED)}"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("revision", "below"), scripts())
def test_no_migration_locks_a_busy_table(squawk: str, revision: str, below: str) -> None:
    text = sql(revision, below)
    assert text.count("lock_timeout") == 1
    result = judged(squawk, text)
    found = set(re.findall(r"^stdin:[\d:]+ \w+: (\S+)", result.stdout, re.MULTILINE))
    assert found == MEANT.get(revision, set()), result.stdout
    assert result.returncode == bool(found), result.stdout + result.stderr


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("require-concurrent-index-creation", "CREATE INDEX i ON users (created_at);"),
        ("adding-required-field", "ALTER TABLE users ADD COLUMN age bigint NOT NULL;"),
        ("renaming-column", "ALTER TABLE users RENAME email TO address;"),
        ("ban-drop-column", "ALTER TABLE users DROP COLUMN email;"),
        ("changing-column-type", "ALTER TABLE users ALTER email TYPE text;"),
        ("constraint-missing-not-valid", "ALTER TABLE users ADD CONSTRAINT c CHECK (id > 0);"),
    ],
)
def test_locking_migrations_are_detected(squawk: str, rule: str, text: str) -> None:
    result = judged(squawk, SETTINGS + text)
    assert result.returncode == 1
    assert rule in result.stdout
