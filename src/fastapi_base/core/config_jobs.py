"""Settings of background jobs, as PostgreSQL keeps them."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.section import Seconds, Section


class JobsSettings(Section):
    """Jobs and the relay that hands them to the broker. Times are in seconds, or in days."""

    model_config = SettingsConfigDict(env_prefix="JOBS_")

    sweep_seconds: Seconds = 1
    lease_seconds: Seconds = 30
    batch: int = Field(default=200, gt=0, le=5000)
    keep_days: int = Field(default=7, gt=0)
    keep_failed_days: int = Field(default=30, gt=0)
