"""The audit log: who did what, when, from where."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Index, String, TextClause, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from fastapi_base.core.ids import uuid7
from fastapi_base.core.security.caller import ADDRESS_LENGTH, REQUEST_ID_LENGTH, USER_AGENT_LENGTH
from fastapi_base.models import base

ACTION_LENGTH = 64


def _there(*columns: str) -> TextClause | None:
    """The condition of a partial index that excludes events without these accounts."""
    accounts = [f"{name} IS NOT NULL" for name in columns if name != "action"]
    return text(" AND ".join(accounts)) if accounts else None


class AuditEvent(SQLModel, table=True):
    """An event. The table is append-only, which triggers enforce.

    They allow only the deletion of events older than 30 days, and the removal of the origin
    (`address`, `user_agent`) from events of deleted accounts. Account ids are not foreign keys:
    events outlive the accounts that they refer to.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        # For the list, with each combination of its filters. The indexed columns of an event never
        # change.
        *(
            Index(
                f"ix_audit_events_{'_'.join((*filters, 'occurred_at', 'id'))}",
                *filters,
                "occurred_at",
                "id",
                postgresql_where=_there(*filters),
            )
            for filters in (
                (),
                ("action",),
                ("actor_id",),
                ("actor_id", "action"),
                ("subject_id",),
                ("subject_id", "action"),
                ("actor_id", "subject_id"),
                ("actor_id", "subject_id", "action"),
            )
        ),
    )
    metadata = base.metadata

    id: uuid.UUID = Field(default_factory=uuid7, primary_key=True)
    occurred_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    action: str = Field(sa_type=String(ACTION_LENGTH))
    actor_id: uuid.UUID | None = Field(default=None)
    subject_id: uuid.UUID | None = Field(default=None)
    address: str | None = Field(default=None, sa_type=String(ADDRESS_LENGTH))
    user_agent: str | None = Field(default=None, sa_type=String(USER_AGENT_LENGTH))
    request_id: str | None = Field(default=None, sa_type=String(REQUEST_ID_LENGTH))
    details: dict[str, Any] = Field(
        default_factory=dict, sa_type=JSONB, sa_column_kwargs={"server_default": text("'{}'")}
    )
