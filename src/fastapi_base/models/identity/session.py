"""Sessions: one for each login, with the refresh tokens that were handed out in it."""

import uuid
from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, LargeBinary, String, text
from sqlmodel import Field, SQLModel

from fastapi_base.core.caller import ADDRESS_LENGTH, USER_AGENT_LENGTH
from fastapi_base.core.ids import uuid7
from fastapi_base.models import base

SESSION_USER = "fk_sessions_user_id_users"
REASON_LENGTH = 32
METHODS_LENGTH = 64


class LoginSession(SQLModel, table=True):
    """One login on one device: a family of refresh tokens, of which the newest one is good.

    It ends at `expires_at` or when `revoked_at` is set, whatever its tokens say. `methods` are how
    its owner was proven, in the words of RFC 8176, separated by blanks.
    """

    __tablename__ = "sessions"
    metadata = base.metadata

    id: uuid.UUID = Field(default_factory=uuid7, primary_key=True)
    user_id: uuid.UUID = Field(
        sa_column_args=[ForeignKey("users.id", name=SESSION_USER, ondelete="CASCADE")], index=True
    )
    address: str | None = Field(default=None, sa_type=String(ADDRESS_LENGTH))
    user_agent: str | None = Field(default=None, sa_type=String(USER_AGENT_LENGTH))
    methods: str = Field(
        default="pwd",
        sa_type=String(METHODS_LENGTH),
        sa_column_kwargs={"server_default": "pwd"},
    )
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    last_used_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    expires_at: datetime = Field(sa_type=DateTime(timezone=True), index=True)
    revoked_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    revoked_reason: str | None = Field(default=None, sa_type=String(REASON_LENGTH))


class RefreshToken(SQLModel, table=True):
    """A refresh token that was handed out, by its SHA-256 digest; the token is not stored.

    Used ones stay until their session is removed: they are how a copy is noticed.
    """

    __tablename__ = "refresh_tokens"
    metadata = base.metadata

    digest: bytes = Field(sa_type=LargeBinary, primary_key=True)
    session_id: uuid.UUID = Field(
        sa_column_args=[ForeignKey("sessions.id", ondelete="CASCADE")], index=True
    )
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    expires_at: datetime = Field(sa_type=DateTime(timezone=True), index=True)
    used_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
