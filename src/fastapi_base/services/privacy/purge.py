"""Removes expired data; a worker runs it periodically."""

from collections import Counter
from collections.abc import Awaitable, Iterator
from datetime import timedelta

import structlog
from pydantic import BaseModel
from sqlalchemy import ColumnElement, func, select
from sqlmodel import SQLModel, col

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import cause
from fastapi_base.db.batches import BATCH, remove
from fastapi_base.db.failures import UNAVAILABLE
from fastapi_base.db.session import Database
from fastapi_base.models.audit.audit import AuditEvent
from fastapi_base.models.identity.email_change import EmailChange  # slice: email-change
from fastapi_base.models.identity.invitation import Invitation
from fastapi_base.models.identity.one_time_token import OneTimeToken
from fastapi_base.models.identity.session import LoginSession, RefreshToken
from fastapi_base.models.identity.user import User
from fastapi_base.models.privacy.file import File
from fastapi_base.services.identity import lifecycle
from fastapi_base.services.jobs import outbox
from fastapi_base.services.jobs.kinds import EmptyPayload, Kind, Priority
from fastapi_base.services.jobs.schedules import Schedule
from fastapi_base.services.limits import idempotency

PURGE = Kind("purge", EmptyPayload, priority=Priority.BACKGROUND)
SCHEDULE = Schedule("purge", PURGE, "every 1h", lambda _: EmptyPayload())
log = structlog.stdlib.get_logger(__name__)


class Removed(BaseModel):
    """The number of removed rows, by table."""

    rows: dict[str, int]


async def purge(database: Database, settings: Settings, batch: int = BATCH) -> dict[str, int]:
    """Remove data that ended AUTH_KEEP_ENDED_DAYS ago, and accounts whose grace period has ended.

    Idempotency keys are removed after API_IDEMPOTENCY_HOURS, when they count as new anyway; jobs
    after JOBS_KEEP_DAYS, or JOBS_KEEP_FAILED_DAYS if they failed; files when they expire; events of
    the audit log after AUDIT_KEEP_DAYS. Returns the number of removed rows by table. Idempotent and
    safe to run concurrently. A failing step does not stop the others: its error is raised at the
    end, in a group if several steps fail.
    """
    counts: Counter[str] = Counter()
    failures: list[Exception] = []
    for name, step in _steps(database, settings, batch):
        try:
            counts[name] += await step
        except Exception as error:
            log.warning("data was not removed", table=name, reason=cause(error))
            failures.append(error)
    # An outage is reported only if nothing else is wrong.
    failures = [error for error in failures if not isinstance(error, UNAVAILABLE)] or failures[:1]
    if len(failures) > 1:
        raise ExceptionGroup("data was not removed", failures)
    if failures:
        raise failures[0]
    return dict(counts)


def _steps(
    database: Database, settings: Settings, batch: int
) -> Iterator[tuple[str, Awaitable[int]]]:
    """The steps of a purge, with the names of their tables."""
    # By the database's clock, like the end times.
    now = func.statement_timestamp()
    before = now - timedelta(days=settings.auth.keep_ended_days)
    expired: list[tuple[type[SQLModel], ColumnElement[bool]]] = [
        (RefreshToken, col(RefreshToken.expires_at) < before),
        # Each uses its own index.
        (LoginSession, col(LoginSession.expires_at) < before),
        (LoginSession, col(LoginSession.revoked_at) < before),
        (OneTimeToken, col(OneTimeToken.expires_at) < before),
        (EmailChange, col(EmailChange.expires_at) < before),  # slice: email-change
        (File, col(File.expires_at) < now),
        (
            Invitation,
            func.least(
                col(Invitation.expires_at), col(Invitation.accepted_at), col(Invitation.revoked_at)
            )
            < before,
        ),
    ]
    if settings.audit.keep_days:
        # By the clock of the trigger that protects recent events.
        old = func.now() - timedelta(days=settings.audit.keep_days)
        expired.append((AuditEvent, col(AuditEvent.occurred_at) < old))
    for table, which in expired:
        yield str(table.__tablename__), remove(database, table, which, batch)
    keep = timedelta(hours=settings.api.idempotency_hours)
    yield "idempotency_keys", idempotency.purge(database, keep, batch)
    done, failed = settings.jobs.keep_days, settings.jobs.keep_failed_days
    yield (
        "jobs",
        outbox.prune(database, timedelta(days=done), timedelta(days=failed), batch),
    )
    yield "users", _remove_accounts(database, col(User.delete_after) <= now, batch)


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
