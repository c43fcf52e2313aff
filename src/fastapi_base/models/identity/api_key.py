"""API keys, stored as digests."""

import uuid
from datetime import datetime

from sqlalchemy import (
    ARRAY,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from fastapi_base.core.ids import uuid7
from fastapi_base.models import base

NAME_LENGTH = 100
SCOPE_LENGTH = 64


class ApiKey(SQLModel, table=True):
    """A key for programs, with a subset of its owner's scopes. The key itself is not stored."""

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("digest"),
        # The valid keys of an account, which are few regardless of the number of revoked keys.
        Index(
            "ix_api_keys_good",
            "user_id",
            "expires_at",
            postgresql_where=text("revoked_at IS NULL"),
        ),
        # For the daily statistics.
        Index("ix_api_keys_expires_at", "expires_at"),
    )
    metadata = base.metadata

    id: uuid.UUID = Field(default_factory=uuid7, primary_key=True)
    user_id: uuid.UUID = Field(
        sa_column_args=[ForeignKey("users.id", ondelete="CASCADE")], index=True
    )
    name: str = Field(sa_type=String(NAME_LENGTH))
    start: str = Field(sa_type=String(16))
    digest: bytes = Field(sa_type=LargeBinary)
    scopes: list[str] = Field(sa_type=ARRAY(String(SCOPE_LENGTH)))
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    expires_at: datetime = Field(sa_type=DateTime(timezone=True))
    last_used_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    revoked_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
