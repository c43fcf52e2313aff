"""Single-use tokens that are sent by e-mail."""

import uuid
from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, LargeBinary, String, text
from sqlmodel import Field, SQLModel

from fastapi_base.models import base
from fastapi_base.models.identity.user import EMAIL_LENGTH

PURPOSE_LENGTH = 32


class OneTimeToken(SQLModel, table=True):
    """A token, stored as its SHA-256 digest. It is valid once, for one purpose.

    It is only valid while `email` is the address of the account. The token itself is only in the
    e-mail.
    """

    __tablename__ = "one_time_tokens"
    metadata = base.metadata

    digest: bytes = Field(sa_type=LargeBinary, primary_key=True)
    user_id: uuid.UUID = Field(
        sa_column_args=[ForeignKey("users.id", ondelete="CASCADE")], index=True
    )
    purpose: str = Field(sa_type=String(PURPOSE_LENGTH))
    email: str = Field(sa_type=String(EMAIL_LENGTH))
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    expires_at: datetime = Field(sa_type=DateTime(timezone=True), index=True)
