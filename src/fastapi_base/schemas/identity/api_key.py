"""API keys as their owner sees them."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from fastapi_base.core.scopes import Scope
from fastapi_base.schemas.text import Line

MAX_DAYS = 366
MAX_OVERLAP_SECONDS = 604_800


class ApiKeyCreate(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid")

    name: Line = Field(description="What it is for.", examples=["nightly export"])
    scopes: list[Scope] = Field(
        min_length=1,
        max_length=len(Scope),
        description="Some of one's own.",
        examples=[["jobs:read", "jobs:write"]],
    )
    expires_in_days: int = Field(default=90, ge=1, le=MAX_DAYS, examples=[90])


class ApiKeyRotate(BaseModel):
    """How a key is replaced."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: int = Field(
        default=86_400,
        ge=0,
        le=MAX_OVERLAP_SECONDS,
        description="For how long the old key stays good.",
        examples=[86_400],
    )
    expires_in_days: int = Field(default=90, ge=1, le=MAX_DAYS, examples=[90])


class ApiKeyRead(BaseModel):
    """A key, without what makes it one."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    name: str = Field(examples=["nightly export"])
    start: str = Field(description="How the key begins.", examples=["fb_4fJk2x"])
    scopes: list[str] = Field(examples=[["jobs:read", "jobs:write"]])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    expires_at: datetime = Field(examples=["2026-05-01T12:00:00Z"])
    last_used_at: datetime | None = Field(
        description="To the minute.", examples=["2026-01-31T12:00:00Z"]
    )


class ApiKeyCreated(ApiKeyRead):
    """A key that was just made, shown this once."""

    key: str = Field(examples=["fb_4fJk2xQm8vR1tYw3Zs6Bd9Ge0Hn5Pc7Ua2Lk4Mi6XoEq0a1b2c3"])
