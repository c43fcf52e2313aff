"""Sessions: one per login, with the refresh tokens issued in it."""

import uuid
from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, String, text
from sqlmodel import Field, SQLModel

from fastapi_base.core.ids import uuid7
from fastapi_base.core.security.caller import ADDRESS_LENGTH, USER_AGENT_LENGTH
from fastapi_base.models import base

SESSION_USER = "fk_sessions_user_id_users"
REASON_LENGTH = 32
METHODS_LENGTH = 64
_NOT_REVOKED = text("revoked_at IS NULL")


class LoginSession(SQLModel, table=True):
    """One login on one device: a family of refresh tokens, of which only the latest is valid.

    It ends at `expires_at`, or when `revoked_at` is set, regardless of its tokens. `methods` are
    the authentication methods (RFC 8176), separated by spaces.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        # The active sessions of an account. No index includes a column that changes with each use.
        Index("ix_sessions_live", "user_id", "expires_at", postgresql_where=_NOT_REVOKED),
        Index(
            "ix_sessions_revoked_at", "revoked_at", postgresql_where=text("revoked_at IS NOT NULL")
        ),
        # For the daily statistics.
        Index("ix_sessions_created_at", "created_at"),
    )
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
    """An issued refresh token, stored as its SHA-256 digest.

    Used tokens are kept until their session is removed, to detect reuse. `successor_salt` derives
    the next token from this one, which only its holder has (services/identity/refresh_tokens.py).
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
    successor_salt: bytes | None = Field(default=None, sa_type=LargeBinary)
