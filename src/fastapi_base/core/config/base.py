"""All settings, by section."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings

from fastapi_base.core.config.api import ApiSettings, OpenApiSettings, RateLimitSettings
from fastapi_base.core.config.auth import AuthSettings, FirstAdminSettings
from fastapi_base.core.config.cache import CacheSettings
from fastapi_base.core.config.console import ConsoleSettings  # slice: console
from fastapi_base.core.config.data import AuditSettings, ExportSettings
from fastapi_base.core.config.database import DatabaseSettings, RedisSettings, TlsSettings
from fastapi_base.core.config.flags import FlagSettings
from fastapi_base.core.config.jobs import CelerySettings, JobsSettings
from fastapi_base.core.config.mail import MailSettings
from fastapi_base.core.config.observability import (
    HealthSettings,
    LogSettings,
    MetricsSettings,
    SentrySettings,
    TracingSettings,
)
from fastapi_base.core.config.oidc import OidcSettings  # slice: oidc
from fastapi_base.core.config.passkeys import PasskeySettings  # slice: passkeys
from fastapi_base.core.config.section import Section
from fastapi_base.core.config.throttle import ThrottleSettings


class AppSettings(Section):
    """Settings that concern the whole application."""

    environment: Literal["development", "test", "production"] = "development"
    debug: bool = False
    image_digest: str = ""


class Settings(BaseModel):
    """All settings, by section. `load_settings()` reads them from the environment."""

    model_config = ConfigDict(frozen=True)

    app: AppSettings = Field(default_factory=AppSettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    openapi: OpenApiSettings = Field(default_factory=OpenApiSettings)
    console: ConsoleSettings = Field(default_factory=ConsoleSettings)  # slice: console
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    tls: TlsSettings = Field(default_factory=TlsSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    passkey: PasskeySettings = Field(default_factory=PasskeySettings)  # slice: passkeys
    oidc: OidcSettings = Field(default_factory=OidcSettings)  # slice: oidc
    throttle: ThrottleSettings = Field(default_factory=ThrottleSettings)
    mail: MailSettings = Field(default_factory=MailSettings)
    rate_limit: RateLimitSettings = Field(default_factory=RateLimitSettings)
    cache: CacheSettings = Field(default_factory=CacheSettings)
    flags: FlagSettings = Field(default_factory=FlagSettings)
    celery: CelerySettings = Field(default_factory=CelerySettings)
    jobs: JobsSettings = Field(default_factory=JobsSettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)
    export: ExportSettings = Field(default_factory=ExportSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    sentry: SentrySettings = Field(default_factory=SentrySettings)
    health: HealthSettings = Field(default_factory=HealthSettings)
    first_admin: FirstAdminSettings = Field(default_factory=FirstAdminSettings)
    # Warnings about the environment, for the log.
    notices: tuple[str, ...] = ()

    @classmethod
    def variables(cls) -> set[str]:
        """The environment variables of all settings."""
        return {
            variable(section, field)
            for section in cls.sections().values()
            for field in section.model_fields
        }

    @classmethod
    def sections(cls) -> dict[str, type[Section]]:
        """The model of each section, by field name."""
        found = {name: field.annotation for name, field in cls.model_fields.items()}
        return {
            name: model
            for name, model in found.items()
            if isinstance(model, type) and issubclass(model, Section)
        }


def variable(section: type[BaseSettings], field: str) -> str:
    """The environment variable of a field."""
    return f"{section.model_config.get('env_prefix', '')}{field}".upper()
