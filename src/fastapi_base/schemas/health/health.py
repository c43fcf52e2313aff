"""What the health endpoints say."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Started(BaseModel):
    """The process was ready once."""

    status: Literal["started"] = "started"


class Check(BaseModel):
    """One thing the service needs."""

    ok: bool = Field(examples=[True])
    milliseconds: float = Field(examples=[1.2])
    error: str | None = Field(default=None, examples=[None])


class Ready(BaseModel):
    """The service can take requests."""

    status: Literal["ready"] = "ready"
    checks: dict[str, Check] | None = Field(
        default=None,
        description="For operators only.",
        examples=[{"database": {"ok": True, "milliseconds": 1.2, "error": None}}],
    )
    last_heartbeat: datetime | None = Field(
        default=None,
        description="When a worker last ran the scheduled heartbeat. For information only: the API"
        " is ready without background work.",
        examples=["2026-01-31T12:00:00Z"],
    )
