"""Settings of logs, metrics, traces, error reports and health checks."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.config import validators
from fastapi_base.core.config.section import Section, Words

MINIMUM_TOKEN_LENGTH = 32
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def parse_level(text: str) -> tuple[str, str]:
    """Parse `name=LEVEL` into logger and level. Raises ValueError naming the expected form."""
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
        raise ValueError(f"{', '.join(sorted(unknown))}: must be database or redis")
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
    """Metrics for Prometheus, on a separate port; 0 disables them."""

    model_config = SettingsConfigDict(env_prefix="METRICS_")

    host: Annotated[str, AfterValidator(validators.bind_host)] = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)


Share = Annotated[float, Field(ge=0, le=1)]


class TracingSettings(Section):
    """Traces (OpenTelemetry), exported by OTLP over HTTP. Disabled without `endpoint`."""

    model_config = SettingsConfigDict(env_prefix="TRACING_")

    endpoint: Annotated[str, AfterValidator(validators.endpoint)] | None = None
    sample: Share = 0.1


class SentrySettings(Section):
    """Error reports. Disabled without `dsn`."""

    model_config = SettingsConfigDict(env_prefix="SENTRY_")

    dsn: Annotated[SecretStr, AfterValidator(validators.sentry_dsn)] | None = None
    sample: Share = 1.0
    traces: Share = 0.0


class HealthSettings(Section):
    """The dependencies that readiness requires, and the token for detailed health reports."""

    model_config = SettingsConfigDict(env_prefix="HEALTH_")

    required: Annotated[Words, AfterValidator(_dependencies)] = ("database", "redis")
    token: Annotated[SecretStr, Field(min_length=MINIMUM_TOKEN_LENGTH)] | None = None
