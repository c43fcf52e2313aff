"""Sessions as shown to their owner."""

import uuid
from datetime import datetime

from pydantic import BaseModel, Field


class SessionRead(BaseModel):
    """One login on one device."""

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    current: bool = Field(description="Whether this request belongs to it.", examples=[True])
    address: str | None = Field(description="The IP address of the login.", examples=["192.0.2.7"])
    user_agent: str | None = Field(
        description="The User-Agent of the login.", examples=["ExampleApp/1.0"]
    )
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    last_used_at: datetime = Field(
        description="When its token was last refreshed.", examples=["2026-01-31T12:00:00Z"]
    )
    expires_at: datetime = Field(examples=["2026-02-28T12:00:00Z"])
