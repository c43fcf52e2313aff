"""Pending changes of e-mail addresses."""

import uuid
from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, String, text
from sqlmodel import Field, SQLModel

from fastapi_base.models import base
from fastapi_base.models.identity.user import EMAIL_LENGTH

# The primary key, named by the naming convention.
ONE_CHANGE = "pk_email_changes"


class EmailChange(SQLModel, table=True):
    """At most one per account. It takes effect when both addresses are verified."""

    __tablename__ = "email_changes"
    metadata = base.metadata

    user_id: uuid.UUID = Field(
        sa_column_args=[ForeignKey("users.id", ondelete="CASCADE")], primary_key=True
    )
    old_email: str = Field(sa_type=String(EMAIL_LENGTH))
    new_email: str = Field(sa_type=String(EMAIL_LENGTH))
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    expires_at: datetime = Field(sa_type=DateTime(timezone=True), index=True)
    old_confirmed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    new_confirmed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
