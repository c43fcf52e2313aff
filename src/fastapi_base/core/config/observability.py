"""Settings of what operators see: logs, metrics, traces, error reports, health."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.config_rules import MINIMUM_SECRET_BYTES
from fastapi_base.core.section import Section, Words

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def parse_level(text: str) -> tuple[str, str]:
    """Logger and level out of `name=LEVEL`. Raises ValueError saying what would be right."""
    name, _, level = (part.strip() for part in text.partition("="))
    if not name or level not in _LEVELS:
        raise ValueError(f"{text!r} must look like sqlalchemy.engine=INFO ({', '.join(_LEVELS)})")
    return name, level


def _levels(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        parse_level(one)
    return value


def _dependencies(value: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := set(value) - {"database", "redis"}:
        raise ValueError(f"{', '.join(sorted(unknown))}: must be of database, redis")
    return value


class LogSettings(Section):
    """Logs."""

    model_config = SettingsConfigDict(env_prefix="LOG_")

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["json", "console"] = "console"
    levels: Annotated[Words, AfterValidator(_levels)] = ()
    levels_file: Path | None = None
    queue_lines: int = Field(default=10_000, ge=0)


class MetricsSettings(Section):
    """Metrics for Prometheus, on a port of their own; port 0 is no metrics at all."""

    model_config = SettingsConfigDict(env_prefix="METRICS_")

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)


Share = Annotated[float, Field(ge=0, le=1)]


class TracingSettings(Section):
    """Traces (OpenTelemetry), sent by OTLP over HTTP; without `endpoint` there are none."""

    model_config = SettingsConfigDict(env_prefix="TRACING_")

    endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s#]+$")
    sample: Share = 0.1


class SentrySettings(Section):
    """Error reports; without `dsn` there are none."""

    model_config = SettingsConfigDict(env_prefix="SENTRY_")

    dsn: SecretStr | None = None
    sample: Share = 1.0
    traces: Share = 0.0


class HealthSettings(Section):
    """What probes are told, and what operators are told besides."""

    model_config = SettingsConfigDict(env_prefix="HEALTH_")

    required: Annotated[Words, AfterValidator(_dependencies)] = ("database", "redis")
    token: Annotated[SecretStr, Field(min_length=MINIMUM_SECRET_BYTES)] | None = None
