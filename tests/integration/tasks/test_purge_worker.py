"""A real Beat, relay and worker remove expired data, and nothing else."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import delete, func, select, update
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.core.security.caller import Origin
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.main import create_app
from fastapi_base.models import (
    FlagOverride,
    IdempotencyKey,
    Invitation,
    LoginSession,
    OneTimeToken,
    RefreshToken,
    User,
)
from fastapi_base.services.jobs import timetable
from fastapi_base.services.privacy.purge import SCHEDULE
from tests.calling import calling
from tests.integration.accounts import log_in, register
from tests.integration.processes import CELERY, RELAY, running
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

TABLES: list[Any] = [User, LoginSession, RefreshToken, OneTimeToken, Invitation, IdempotencyKey]


async def counts(database: EngineDatabase) -> list[int]:
    async with database.read() as connection:
        return [
            await connection.scalar(select(func.count()).select_from(table)) or 0
            for table in TABLES
        ]


async def test_expired_data_is_removed(
    make_settings: Callable[[str], Settings],
    fresh_database_url: str,
    redis: Redis,
    redis_url: str,
    tmp_path: Path,
) -> None:
    settings = make_settings(fresh_database_url)
    app = create_app(settings)
    async with calling(app) as client:
        for email in ["ada@example.com", "grace@example.com"]:
            await register(client, email)
            for _ in range(3):
                await log_in(client, email)
    engine = create_engine(settings.database)
    database = EngineDatabase(engine)
    now = datetime.now(UTC)
    long_ago, lately = now - timedelta(days=31), now - timedelta(days=29)
    async with database.transaction() as session:
        ada = await session.scalar(select(col(User.id)).where(col(User.email) == "ada@example.com"))
        assert ada
        own = col(LoginSession.user_id) == ada
        ids = list(await session.scalars(select(col(LoginSession.id)).where(own)))
        for row, column, when in [
            (0, "revoked_at", long_ago),
            (1, "expires_at", long_ago),
            (2, "revoked_at", lately),
        ]:
            which = col(LoginSession.id) == ids[row]
            await session.exec(update(LoginSession).where(which).values({column: when}))
        for number, expires in enumerate([long_ago, lately]):
            session.add(
                OneTimeToken(
                    digest=bytes([number]),
                    user_id=ada,
                    purpose="verify-email",
                    email="ada@example.com",
                    created_at=expires,
                    expires_at=expires,
                )
            )
            session.add(
                Invitation(email=f"{number}@example.com", created_at=expires, expires_at=expires)
            )
            session.add(
                IdempotencyKey(
                    owner_id=ada,
                    key=str(number),
                    fingerprint=b"",
                    created_at=[lately, now][number],
                )
            )
        await session.exec(
            update(User)
            .where(col(User.email) == "grace@example.com")
            .values(is_active=False, deactivated_at=lately, delete_after=now)
        )
        session.add(
            FlagOverride(name="read-only", value=True, percentage=100, user_ids=[], updated_at=now)
        )
        await timetable.override(session, SCHEDULE, "every 1s", Origin())
    full = [2, 6, 6, 2, 2, 2]
    assert await counts(database) == full

    environment = {
        "DATABASE_URL": fresh_database_url,
        "REDIS_URL": redis_url,
        "CELERY_CONCURRENCY": "1",
        "CELERY_HEARTBEAT_SECONDS": "1",
        "FEATURE_FLAGS_POLL_SECONDS": "1",
        "LOG_FORMAT": "json",
    }
    left = [1, 1, 1, 1, 1, 1]

    async def done() -> bool | None:
        return True if await counts(database) == left else None

    async def left_alone() -> bool | None:
        return "while the service is read-only" in await asyncio.to_thread(worker.read_text) or None

    worker, beat = tmp_path / "worker.log", tmp_path / "beat.log"
    with (
        running(RELAY, tmp_path / "relay.log", **environment),
        running((*CELERY, "worker"), worker, **environment),
        running((*CELERY, "beat"), beat, **environment),
    ):
        await until(left_alone, "the worker respects read-only mode", seconds=60)
        assert await counts(database) == full
        async with database.transaction() as session:
            await session.exec(delete(FlagOverride))
        await until(done, "expired data is removed", seconds=60)
    assert await counts(database) == left
    assert '"event":"purged"' in await asyncio.to_thread(worker.read_text)
    await engine.dispose()
