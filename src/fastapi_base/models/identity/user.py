"""Accounts."""

import uuid
from datetime import UTC, datetime

from sqlalchemy import CheckConstraint, DateTime, Index, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from fastapi_base.core.ids import uuid7
from fastapi_base.models import base

UNIQUE_EMAIL = "uq_users_email"
EMAIL_LENGTH = 320
DISPLAY_NAME_LENGTH = 100


def _now() -> datetime:
    return datetime.now(UTC)


class User(SQLModel, table=True):
    """A person who can log in. `email` is stored normalised, see schemas/identity/user.py."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("email", name=UNIQUE_EMAIL),
        CheckConstraint("email = lower(email)", name="email_lower"),
        # For the list. Without a filter, it merges the index ranges of all flags
        # (services/identity/admin.py). There is no index on the time only: PostgreSQL would use it
        # to scan all newer accounts for a few matches.
        Index("ix_users_flags_created_at_id", "is_active", "is_superuser", "created_at", "id"),
        Index(
            "ix_users_flags_email_c_id",
            "is_active",
            "is_superuser",
            "email",
            "id",
            postgresql_ops={"email": base.BY_CODE_POINTS},
        ),
        CheckConstraint(
            "deactivated_at IS NULL OR NOT is_active", name="deactivated_is_not_active"
        ),
        Index(
            "ix_users_delete_after",
            "delete_after",
            postgresql_where=text("delete_after IS NOT NULL"),
        ),
    )
    metadata = base.metadata

    id: uuid.UUID = Field(default_factory=uuid7, primary_key=True)
    email: str = Field(sa_type=String(EMAIL_LENGTH))
    password_hash: str = Field(sa_type=String(128))
    email_verified_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    display_name: str | None = Field(default=None, sa_type=String(DISPLAY_NAME_LENGTH))
    is_active: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    # Set by the owner; the next login clears both.
    deactivated_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    delete_after: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    is_superuser: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    created_at: datetime = Field(
        default_factory=_now,
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": text("now()")},
    )
    updated_at: datetime = Field(
        default_factory=_now,
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": text("now()"), "onupdate": _now},
    )
