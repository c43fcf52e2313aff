"""Settings of background jobs in PostgreSQL and in Celery."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.config import validators
from fastapi_base.core.config.section import Seconds, Section

BrokerUrl = Annotated[SecretStr, AfterValidator(validators.broker_url)]


class JobsSettings(Section):
    """Jobs and the relay that publishes them. Times are in seconds, or in days."""

    model_config = SettingsConfigDict(env_prefix="JOBS_")

    sweep_seconds: Seconds = 1
    lease_seconds: Seconds = 30
    batch: int = Field(default=200, gt=0, le=5000)
    window: int = Field(default=200, gt=0, le=1_000_000)
    apart: int = Field(default=2, gt=0, le=1000)
    keep_days: int = Field(default=7, gt=0)
    keep_failed_days: int = Field(default=30, gt=0)


class CelerySettings(Section):
    """Celery workers and the broker. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="CELERY_")

    broker_url: BrokerUrl | None = None
    concurrency: int = Field(default=2, ge=1)
    task_soft_time_limit: int = Field(default=240, gt=0)
    task_time_limit: int = Field(default=300, gt=0)
    visibility_timeout: int = Field(default=3600, gt=0)
    max_tasks_per_child: int = Field(default=1000, gt=0)
    publish_timeout: Seconds = 5
    heartbeat_seconds: float = Field(default=30, ge=1)
