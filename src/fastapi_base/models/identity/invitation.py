"""Invitations to create an account."""

import uuid
from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, String, text
from sqlmodel import Field, SQLModel

from fastapi_base.core.ids import uuid7
from fastapi_base.models import base
from fastapi_base.models.identity.user import EMAIL_LENGTH

OPEN_INVITATION = "ix_invitations_open_email"
_OPEN = text("accepted_at IS NULL AND revoked_at IS NULL")


class Invitation(SQLModel, table=True):
    """An e-mail address that may register. `digest` is that of the token in the latest e-mail.

    There is at most one open invitation per address.
    """

    __tablename__ = "invitations"
    __table_args__ = (
        Index(OPEN_INVITATION, "email", unique=True, postgresql_where=_OPEN),
        Index("ix_invitations_open_expires_at", "expires_at", postgresql_where=_OPEN),
        # For the purge.
        Index("ix_invitations_ended_at", text("LEAST(expires_at, accepted_at, revoked_at)")),
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
