"""Settings of what operators see: metrics."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.section import Section


class MetricsSettings(Section):
    """Metrics for Prometheus, on a port of their own; port 0 is no metrics at all."""

    model_config = SettingsConfigDict(env_prefix="METRICS_")

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
