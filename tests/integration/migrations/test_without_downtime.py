"""Migrations while the service runs: the previous API stays up, indexes are built concurrently.

The API is the current one and the migration a sample of the next release that expands the schema. A
release meets this situation when its migration runs first.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from fastapi_base.migrations import runner
from ops.dev.places import free_port
from tests.integration.accounts import log_in, new_user
from tests.integration.processes import GUNICORN, running, serves
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

SAMPLE = '''"""A sample: it expands, and the code of before goes on."""

import sqlalchemy as sa
from alembic import op

revision = "9001"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column(
        "sessions", sa.Column("device", sa.String(64), server_default="unknown", nullable=False)
    )
    # CONCURRENTLY does not run inside a transaction.
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_sessions_device",
            "sessions",
            ["device"],
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(
            "ix_sessions_device", "sessions", postgresql_concurrently=True, if_exists=True
        )
    op.drop_column("sessions", "device")
'''


def migrate(url: str, folder: Path, run: Callable[[Config], None]) -> None:
    """Run an Alembic command on the migrations and the sample that follows them."""
    with runner.configuration(url) as config:
        scripts = ScriptDirectory.from_config(config)
        head = scripts.get_current_head()
        (folder / "9001_sample.py").write_text(SAMPLE.replace("{head}", str(head)))
        config.set_main_option("version_locations", f"{scripts.versions}:{folder}")
        run(config)


async def index_is_valid(url: str) -> bool | None:
    engine = create_async_engine(url, poolclass=NullPool)
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_sessions_device')"
    async with engine.connect() as connection:
        found: bool | None = await connection.scalar(text(query))
    return found


async def test_index_is_built_and_dropped_concurrently(
    fresh_database_url: str, tmp_path: Path
) -> None:
    def up(config: Config) -> None:
        command.upgrade(config, "9001")

    def down(config: Config) -> None:
        command.downgrade(config, "-1")

    for _ in range(2):
        await asyncio.to_thread(migrate, fresh_database_url, tmp_path, up)
        assert await index_is_valid(fresh_database_url) is True
        await asyncio.to_thread(migrate, fresh_database_url, tmp_path, down)
        assert await index_is_valid(fresh_database_url) is None


async def test_no_request_fails_while_the_next_release_migrates(
    fresh_database_url: str, redis_url: str, tmp_path: Path
) -> None:
    port = free_port()
    replies: list[tuple[str, int]] = []

    async def load(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
        while True:
            me = await client.get("/api/v1/users/me", headers=headers)
            replies.append(("read", me.status_code))
            listed = await client.get("/api/v1/sessions", headers=headers)
            replies.append(("list", listed.status_code))
            # Writes to the migrated table.
            replies.append(("write", (await log_in(client, "ada@example.com")).status_code))

    def up(config: Config) -> None:
        command.upgrade(config, "9001")

    with running(
        GUNICORN,
        tmp_path / "api.log",
        DATABASE_URL=fresh_database_url,
        REDIS_URL=redis_url,
        API_PORT=str(port),
        API_WORKERS="1",
        AUTH_BCRYPT_ROUNDS="4",
        RATE_LIMIT_ENABLED="false",
    ):
        await serves(port)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            headers = await new_user(client, "ada@example.com")
            loads = [asyncio.create_task(load(client, headers)) for _ in range(3)]

            async def grown() -> bool | None:
                return {kind for kind, _ in replies[start:]} == {"read", "list", "write"} or None

            start = 0
            await until(grown, "requests of all kinds before the migration")
            await asyncio.to_thread(migrate, fresh_database_url, tmp_path, up)
            start = len(replies)
            await until(grown, "requests of all kinds after the migration")
            assert not [task for task in loads if task.done()]
            for task in loads:
                task.cancel()
            await asyncio.gather(*loads, return_exceptions=True)
    assert await index_is_valid(fresh_database_url) is True
    assert {status for _, status in replies} == {200}
