"""The audit log: who did what, when, from where."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Index, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from fastapi_base.core.caller import ADDRESS_LENGTH, REQUEST_ID_LENGTH, USER_AGENT_LENGTH
from fastapi_base.core.ids import uuid7
from fastapi_base.models import base

ACTION_LENGTH = 64


class AuditEvent(SQLModel, table=True):
    """One thing that happened. A trigger refuses every change and removal.

    Ids of accounts are no foreign keys: events outlive the accounts that they are about.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_subject_id_id", "subject_id", "id"),
        Index("ix_audit_events_actor_id_id", "actor_id", "id"),
        Index("ix_audit_events_occurred_at_id", "occurred_at", "id"),
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
