"""Removes what is over: a worker does it from time to time."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Mapped
from sqlmodel import SQLModel, col

from fastapi_base.core.config import Settings
from fastapi_base.db.database import Database
from fastapi_base.models.audit import AuditEvent
from fastapi_base.models.email_change import EmailChange
from fastapi_base.models.file import File
from fastapi_base.models.invitation import Invitation
from fastapi_base.models.one_time_token import OneTimeToken
from fastapi_base.models.session import LoginSession, RefreshToken
from fastapi_base.models.user import User
from fastapi_base.services import idempotency, lifecycle
from fastapi_base.services.jobs import outbox
from fastapi_base.services.jobs.kinds import Kind, Nothing, Priority
from fastapi_base.services.jobs.schedules import Schedule

PURGE = Kind("purge", Nothing, priority=Priority.BACKGROUND)
SCHEDULE = Schedule("purge", PURGE, "every 1h", lambda _: Nothing())
# Rows in one transaction: locks stay short, and what was removed stays so when a later one fails.
BATCH = 1000


class Removed(BaseModel):
    """How many rows went, by table."""

    rows: dict[str, int]


async def purge(database: Database, settings: Settings, batch: int = BATCH) -> dict[str, int]:
    """Remove what ended AUTH_KEEP_ENDED_DAYS ago, and accounts whose time to come back is over.

    Idempotency keys go after API_IDEMPOTENCY_HOURS, when they count as new anyway; jobs after
    JOBS_KEEP_DAYS, or JOBS_KEEP_FAILED_DAYS where they failed; files when they expire; events of
    the audit log after AUDIT_KEEP_DAYS. Returns how many rows went, by table. Run twice, or by two
    workers at once, it does no harm.
    """
    now = datetime.now(UTC)
    before = now - timedelta(days=settings.auth.keep_ended_days)
    over: list[tuple[type[SQLModel], Mapped[Any], ColumnElement[bool]]] = [
        (RefreshToken, col(RefreshToken.digest), col(RefreshToken.expires_at) < before),
        (
            LoginSession,
            col(LoginSession.id),
            or_(col(LoginSession.expires_at) < before, col(LoginSession.revoked_at) < before),
        ),
        (OneTimeToken, col(OneTimeToken.digest), col(OneTimeToken.expires_at) < before),
        (EmailChange, col(EmailChange.user_id), col(EmailChange.expires_at) < before),
        (File, col(File.id), col(File.expires_at) < now),
        (
            Invitation,
            col(Invitation.id),
            func.least(
                col(Invitation.expires_at), col(Invitation.accepted_at), col(Invitation.revoked_at)
            )
            < before,
        ),
    ]
    if settings.audit.keep_days:
        # By the clock of the trigger that keeps young ones.
        old = func.now() - timedelta(days=settings.audit.keep_days)
        over.append((AuditEvent, col(AuditEvent.id), col(AuditEvent.occurred_at) < old))
    counts = {}
    for table, key, which in over:
        counts[str(table.__tablename__)] = await _remove(database, table, key, which, batch)
    async with database.transaction() as session:
        keep = timedelta(hours=settings.api.idempotency_hours)
        counts["idempotency_keys"] = await idempotency.purge(session, keep)
    done, failed = settings.jobs.keep_days, settings.jobs.keep_failed_days
    counts["jobs"] = await outbox.prune(
        database, timedelta(days=done), timedelta(days=failed), batch
    )
    counts["users"] = await _remove_accounts(database, col(User.delete_after) <= now, batch)
    return counts


async def _remove(
    database: Database,
    table: type[SQLModel],
    key: Mapped[Any],
    which: ColumnElement[bool],
    batch: int,
) -> int:
    total = 0
    while True:
        some = select(key).where(which).limit(batch).with_for_update(skip_locked=True)
        statement = delete(table).where(key.in_(some)).returning(key)
        async with database.transaction() as session:
            gone = list(await session.scalars(statement))
        total += len(gone)
        if len(gone) < batch:
            return total


async def _remove_accounts(database: Database, which: ColumnElement[bool], batch: int) -> int:
    total = 0
    while True:
        some = select(col(User.id)).where(which, col(User.is_active).is_(False)).limit(batch)
        async with database.transaction() as session:
            gone = list(await session.scalars(some.with_for_update(skip_locked=True)))
            if gone:
                await lifecycle.remove(session, gone)
        total += len(gone)
        if len(gone) < batch:
            return total
