"""Second factors: one authenticator application per account, and recovery codes."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, DateTime, ForeignKey, LargeBinary, text
from sqlmodel import Field, SQLModel

from fastapi_base.models import base


class TotpFactor(SQLModel, table=True):
    """The secret shared with an authenticator application (RFC 6238), encrypted.

    It is active once `confirmed_at` is set. `last_step` is the latest time step whose code was
    accepted: codes of this and earlier steps are refused (RFC 6238, 5.2).
    """

    __tablename__ = "totp_factors"
    metadata = base.metadata

    user_id: uuid.UUID = Field(
        sa_column_args=[ForeignKey("users.id", ondelete="CASCADE")], primary_key=True
    )
    secret: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    confirmed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    last_step: int | None = Field(default=None, sa_type=BigInteger)


class RecoveryCode(SQLModel, table=True):
    """A single-use code for a lost authenticator application, stored as its SHA-256 digest."""

    __tablename__ = "recovery_codes"
    metadata = base.metadata

    user_id: uuid.UUID = Field(
        sa_column_args=[ForeignKey("users.id", ondelete="CASCADE")], primary_key=True
    )
    digest: bytes = Field(sa_type=LargeBinary, primary_key=True)
    used_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
