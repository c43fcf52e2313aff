"""Identities of accounts at identity providers (OpenID Connect)."""

import uuid
from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from fastapi_base.core.ids import uuid7
from fastapi_base.models import base

UNIQUE_SUBJECT = "uq_external_identities_issuer_subject"
UNIQUE_ISSUER = "uq_external_identities_user_id_issuer"
# OpenID Connect Core 1.0, 2: 255 ASCII characters.
SUBJECT_LENGTH = 255


class ExternalIdentity(SQLModel, table=True):
    """An account's identity at a provider. Its key is issuer and subject, never the e-mail address.

    An account has at most one identity per provider.
    """

    __tablename__ = "external_identities"
    __table_args__ = (
        UniqueConstraint("issuer", "subject", name=UNIQUE_SUBJECT),
        UniqueConstraint("user_id", "issuer", name=UNIQUE_ISSUER),
    )
    metadata = base.metadata

    id: uuid.UUID = Field(default_factory=uuid7, primary_key=True)
    user_id: uuid.UUID = Field(sa_column_args=[ForeignKey("users.id", ondelete="CASCADE")])
    issuer: str = Field(sa_type=String(255))
    subject: str = Field(sa_type=String(SUBJECT_LENGTH))
    provider: str = Field(sa_type=String(32))
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
