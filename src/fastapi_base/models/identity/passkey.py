"""Passkeys: public keys of authenticators (WebAuthn)."""

import uuid
from datetime import datetime

from sqlalchemy import (
    BigInteger,
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

UNIQUE_CREDENTIAL = "uq_passkeys_credential_id"
NAME_LENGTH = 64


class Passkey(SQLModel, table=True):
    """A public key and its credential id. Nothing in it is secret.

    `sign_count` is the authenticator's signature counter at the last login; 0 if it has none.
    """

    __tablename__ = "passkeys"
    __table_args__ = (
        UniqueConstraint("credential_id", name=UNIQUE_CREDENTIAL),
        Index("ix_passkeys_user_id_id", "user_id", "id"),
    )
    metadata = base.metadata

    id: uuid.UUID = Field(default_factory=uuid7, primary_key=True)
    user_id: uuid.UUID = Field(sa_column_args=[ForeignKey("users.id", ondelete="CASCADE")])
    credential_id: bytes = Field(sa_type=LargeBinary)
    public_key: bytes = Field(sa_type=LargeBinary)
    sign_count: int = Field(sa_type=BigInteger)
    name: str = Field(sa_type=String(NAME_LENGTH))
    backed_up: bool
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    last_used_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
