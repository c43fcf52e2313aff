"""Invitations to make an account."""

import uuid
from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, String, text
from sqlmodel import Field, SQLModel

from fastapi_base.core.ids import uuid7
from fastapi_base.models import base
from fastapi_base.models.user import EMAIL_LENGTH

_OPEN = text("accepted_at IS NULL AND revoked_at IS NULL")


class Invitation(SQLModel, table=True):
    """An address that may register. `digest` is of the token in the last mail that was sent.

    An address has one open invitation at most.
    """

    __tablename__ = "invitations"
    __table_args__ = (
        Index("ix_invitations_open_email", "email", unique=True, postgresql_where=_OPEN),
    )
    metadata = base.metadata

    id: uuid.UUID = Field(default_factory=uuid7, primary_key=True)
    email: str = Field(sa_type=String(EMAIL_LENGTH))
    invited_by: uuid.UUID | None = Field(
        default=None, sa_column_args=[ForeignKey("users.id", ondelete="SET NULL")], index=True
    )
    digest: bytes | None = Field(default=None, sa_type=LargeBinary, unique=True)
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    expires_at: datetime = Field(sa_type=DateTime(timezone=True))
    accepted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    revoked_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
