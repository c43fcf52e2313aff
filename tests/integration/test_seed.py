"""Factories make rows that the database accepts, and `make seed` fills it with them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.security.passwords import verify_password
from fastapi_base.models import metadata
from fastapi_base.models.jobs.job import STATES
from ops.dev.seed import cli, fill
from ops.dev.seed.base import Factory
from ops.dev.seed.factories import UserFactory, factories
from ops.dev.seed.rows import tables

pytestmark = pytest.mark.anyio

FACTORIES = factories()
ROWS = 60
LARGE = set(tables("!"))


def test_each_model_has_a_factory() -> None:
    models = {model.__table__ for model in FACTORIES}  # type: ignore[attr-defined]
    missing = set(metadata.tables.values()) - models
    assert not missing, "add a factory to ops/dev/seed/factories.py"


async def test_rows_of_factories_are_accepted(fresh_database_url: str) -> None:
    Factory.seed_random(1)
    engine = create_async_engine(fresh_database_url, poolclass=NullPool)
    made: dict[str, SQLModel] = {}
    by_table = {model.__table__.name: model for model in FACTORIES}  # type: ignore[attr-defined]
    async with AsyncSession(engine, expire_on_commit=False) as session:
        for table in metadata.sorted_tables:
            parents: dict[str, Any] = {
                key.parent.name: getattr(made[key.column.table.name], key.column.name)
                for key in table.foreign_keys
            }
            made[table.name] = FACTORIES[by_table[table.name]].build(**parents)
            session.add(made[table.name])
            # Three rows, unless an account has only one, or there is only one such name.
            if not parents and table.name != "flag_overrides":
                session.add_all(FACTORIES[by_table[table.name]].batch(2))
            await session.flush()
        await session.commit()
    await engine.dispose()


def test_values_are_repeatable() -> None:
    found = []
    for _ in range(2):
        Factory.seed_random(7)
        found.append([(user.email, user.display_name) for user in UserFactory.batch(5)])
    assert found[0] == found[1]
    assert len({email for email, _ in found[0]}) == 5


async def seeded(url: str, rows: int, seed: int) -> None:
    """Adds rows as `make seed` does."""
    await fill.fill(url, rows, seed, lambda _: None)


async def content(url: str) -> dict[str, list[Any]]:
    """All rows of all tables, without the hashes of passwords, whose salt differs."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        found = {}
        for name, table in metadata.tables.items():
            columns = [c for c in table.c if c.name not in ("password_hash", "seq", "updated_at")]
            order = list(table.primary_key.columns)
            rows = await connection.execute(select(*columns).order_by(*order))
            found[name] = [tuple(row) for row in rows]
    return found


async def test_seed_is_repeatable_complete_and_added_once(fresh_database_url: str) -> None:
    url = fresh_database_url
    await seeded(url, ROWS, 3)
    first = await content(url)
    assert sum(len(first.get(name, ())) for name in LARGE) == ROWS
    jobs = metadata.tables["jobs"]
    position = [column.name for column in jobs.c if column.name != "seq"].index("state")
    assert {row[position] for row in first["jobs"]} == set(STATES)
    assert first["flag_overrides"]
    assert len(first["day_statistics"]) == 90  # slice: statistics

    with pytest.raises(fill.AlreadyThereError, match="SEED=3 is already there, with"):
        await seeded(url, ROWS, 3)
    assert await content(url) == first

    await seeded(url, 10, 4)
    later = await content(url)
    assert sum(len(later.get(name, ())) for name in LARGE) == ROWS + 10

    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        hashed = await connection.scalar(text("SELECT password_hash FROM users LIMIT 1"))
        assert verify_password(fill.PASSPHRASE, hashed)
        for name in LARGE & later.keys():
            await connection.execute(text(f"ALTER TABLE {name} DISABLE TRIGGER USER"))
            await connection.execute(text(f"TRUNCATE {name} CASCADE"))
            await connection.execute(text(f"ALTER TABLE {name} ENABLE TRIGGER USER"))
    await seeded(url, ROWS, 3)
    assert await content(url) == first


def test_command_fills_the_database_of_make_up(fresh_database_url: str, tmp_path: Path) -> None:
    url = fresh_database_url.replace("+asyncpg", "")
    (tmp_path / "up.env").write_text(f"OTHER=x\nDATABASE_URL='{url}'\n")
    done = subprocess.run(
        [sys.executable, "-m", "ops.dev.seed.cli", "20", ""],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "UP_DATA": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "seed: added 2 users, " in done.stdout
    assert f"password is '{fill.PASSPHRASE}'" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(".1-0@example.com")


@pytest.mark.parametrize(
    ("rows", "number", "environ", "said"),
    [
        ("9", "", {}, "ROWS=9: must be from 10 to 1000000"),
        ("many", "", {}, "ROWS=many: must be a number"),
        ("", "-1", {}, "SEED=-1: must be a number"),
        ("", "", {"ENVIRONMENT": "production"}, "ENVIRONMENT=production"),
        ("", "", {}, "does not answer"),
        ("", "", {"UP_DATA": "/nonexistent"}, "start the service with `make up` first"),
    ],
)
def test_refusals_say_why(
    rows: str,
    number: str,
    environ: dict[str, str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "up.env").write_text("DATABASE_URL=postgresql://u:p@127.0.0.1:9/x\n")
    for name, value in {"UP_DATA": str(tmp_path), **environ}.items():
        monkeypatch.setenv(name, value)
    assert cli.main([rows, number]) == 1
    assert said in capsys.readouterr().err
