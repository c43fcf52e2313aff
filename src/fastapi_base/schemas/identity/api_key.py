"""API keys as shown to their owner."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from fastapi_base.core.security.scopes import Scope
from fastapi_base.schemas.text import Line

MAX_DAYS = 366
MAX_OVERLAP_SECONDS = 604_800


class ApiKeyCreate(BaseModel):
    """An API key to create."""

    model_config = ConfigDict(extra="forbid")

    name: Line = Field(description="The purpose of the key.", examples=["nightly export"])
    scopes: list[Scope] = Field(
        min_length=1,
        max_length=len(Scope),
        description="A subset of the caller's scopes.",
        examples=[["jobs:read", "jobs:write"]],
    )
    expires_in_days: int = Field(default=90, ge=1, le=MAX_DAYS, examples=[90])


class ApiKeyRotate(BaseModel):
    """Options for replacing a key."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: int = Field(
        default=86_400,
        ge=0,
        le=MAX_OVERLAP_SECONDS,
        description="How long the old key stays valid.",
        examples=[86_400],
    )
    expires_in_days: int = Field(default=90, ge=1, le=MAX_DAYS, examples=[90])


class ApiKeyRead(BaseModel):
    """A key without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    name: str = Field(examples=["nightly export"])
    start: str = Field(description="The first characters of the key.", examples=["fb_4fJk2x"])
    scopes: list[str] = Field(examples=[["jobs:read", "jobs:write"]])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    expires_at: datetime = Field(examples=["2026-05-01T12:00:00Z"])
    last_used_at: datetime | None = Field(
        description="Accurate to the minute.", examples=["2026-01-31T12:00:00Z"]
    )


class ApiKeyCreated(ApiKeyRead):
    """A new key with its secret, which is shown once."""

    key: str = Field(examples=["fb_4fJk2xQm8vR1tYw3Zs6Bd9Ge0Hn5Pc7Ua2Lk4Mi6XoEq0a1b2c3"])
