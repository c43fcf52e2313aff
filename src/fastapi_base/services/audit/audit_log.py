"""Reading the audit log."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from fastapi_base.models.audit.audit import AuditEvent
from fastapi_base.schemas.audit.audit import AuditEventRead, AuditFilter
from fastapi_base.utils.pagination import Listing, Page, PageQuery, fetch

LISTING = Listing(
    "audit-events",
    col(AuditEvent.id),
    {"occurred_at": col(AuditEvent.occurred_at)},
    default="-occurred_at",
    ranges={"occurred_from": "occurred_at", "occurred_before": "occurred_at"},
)
_READ = select(*(col(getattr(AuditEvent, name)) for name in AuditEventRead.model_fields))


async def listed(
    connection: AsyncConnection, chosen: AuditFilter, query: PageQuery
) -> Page[AuditEventRead]:
    """One page of events."""
    statement = _READ
    for column, value in [
        (col(AuditEvent.actor_id), chosen.actor_id),
        (col(AuditEvent.subject_id), chosen.subject_id),
        (col(AuditEvent.action), chosen.action),
    ]:
        if value is not None:
            statement = statement.where(column == value)
    if chosen.occurred_from:
        statement = statement.where(col(AuditEvent.occurred_at) >= chosen.occurred_from)
    if chosen.occurred_before:
        statement = statement.where(col(AuditEvent.occurred_at) < chosen.occurred_before)
    return await fetch(connection, statement, query, AuditEventRead.model_validate)
