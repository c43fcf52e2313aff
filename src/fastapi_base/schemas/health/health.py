"""Responses of the health endpoints."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class Live(BaseModel):
    """The process responds."""

    status: Literal["ok"] = "ok"


class Started(BaseModel):
    """The process has been ready once."""

    status: Literal["started"] = "started"


class Check(BaseModel):
    """One dependency of the service."""

    ok: bool = Field(examples=[True])
    milliseconds: float = Field(examples=[1.2])
    error: str | None = Field(default=None, examples=[None])


class Work(BaseModel):
    """One background activity of this process."""

    ok: bool = Field(examples=[True], description="Whether it has been running stably.")
    failures: int = Field(
        examples=[0], description="How often it failed and was restarted in this process."
    )
    error: str | None = Field(
        default=None, examples=[None], description="The type of its last failure."
    )


type Checks = dict[str, Check]
type BackgroundWork = dict[str, Work]


class Ready(BaseModel):
    """The service can accept requests."""

    status: Literal["ready"] = "ready"
    checks: Checks | None = Field(
        default=None,
        description="For operators only.",
        examples=[{"database": {"ok": True, "milliseconds": 1.2, "error": None}}],
    )
    background: BackgroundWork | None = Field(
        default=None,
        description="For operators only. A failure here does not affect readiness.",
        examples=[{"flags": {"ok": True, "failures": 0, "error": None}}],
    )
    last_heartbeat: datetime | None = Field(
        default=None,
        description="When a worker last ran the scheduled heartbeat. Informational: readiness does"
        " not depend on background work.",
        examples=["2026-01-31T12:00:00Z"],
    )
    last_relay: datetime | None = Field(
        default=None,
        description="When a relay last checked for jobs to publish. Informational.",
        examples=["2026-01-31T12:00:00Z"],
    )
