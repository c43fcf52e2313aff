"""Invitations, for superusers."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from fastapi_base.schemas.identity.user import Email


class InvitationCreate(BaseModel):
    """An e-mail address to invite."""

    model_config = ConfigDict(extra="forbid")

    email: Email


class InvitationRead(BaseModel):
    """An open invitation."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    email: str = Field(examples=["ada@example.com"])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    expires_at: datetime = Field(examples=["2026-02-07T12:00:00Z"])
