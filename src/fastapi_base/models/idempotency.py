"""Replies to requests that carried an idempotency key."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, ForeignKey, LargeBinary, SmallInteger, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from fastapi_base.models import base

KEY_LENGTH = 255


class IdempotencyKey(SQLModel, table=True):
    """One request that must not take effect twice, and its reply once there is one.

    The row and the request's effect are written in one transaction: there is never one without the
    other. `fingerprint` is the SHA-256 digest of what was asked.
    """

    __tablename__ = "idempotency_keys"
    metadata = base.metadata

    owner_id: uuid.UUID = Field(
        sa_column_args=[ForeignKey("users.id", ondelete="CASCADE")], primary_key=True
    )
    key: str = Field(sa_type=String(KEY_LENGTH), primary_key=True)
    fingerprint: bytes = Field(sa_type=LargeBinary)
    status: int | None = Field(default=None, sa_type=SmallInteger)
    headers: dict[str, Any] = Field(
        default_factory=dict, sa_type=JSONB, sa_column_kwargs={"server_default": text("'{}'")}
    )
    body: bytes | None = Field(default=None, sa_type=LargeBinary)
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": text("now()")},
        index=True,
    )
