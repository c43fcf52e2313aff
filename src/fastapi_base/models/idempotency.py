"""Responses to requests with an idempotency key."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, ForeignKey, LargeBinary, SmallInteger, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from fastapi_base.models import base

KEY_LENGTH = 255


class IdempotencyKey(SQLModel, table=True):
    """A request that must take effect at most once, with its response once available.

    The row is written in the same transaction as the effects of the request. `fingerprint` is the
    SHA-256 digest of the request.
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
