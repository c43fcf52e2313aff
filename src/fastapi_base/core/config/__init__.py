"""Settings: one small frozen model per concern, read from the environment.

The name of a variable is the prefix of its model and the name of the field:
`DatabaseSettings.pool_size` is `DATABASE_POOL_SIZE`. No other module reads settings from the
environment. `.env.example` lists all variables.
"""

from fastapi_base.core.config.api import ApiSettings, OpenApiSettings, RateLimitSettings
from fastapi_base.core.config.auth import AuthSettings, FirstAdminSettings
from fastapi_base.core.config.base import AppSettings, variable
from fastapi_base.core.config.cache import CacheSettings
from fastapi_base.core.config.data import AuditSettings, ExportSettings
from fastapi_base.core.config.database import DatabaseSettings, RedisSettings, TlsSettings
from fastapi_base.core.config.flags import FlagSettings
from fastapi_base.core.config.jobs import CelerySettings, JobsSettings
from fastapi_base.core.config.load import ENV_FILE, Settings, SettingsError, load_settings
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
from fastapi_base.core.config.throttle import ThrottleSettings

__all__ = [
    "ENV_FILE",
    "ApiSettings",
    "AppSettings",
    "AuditSettings",
    "AuthSettings",
    "CacheSettings",
    "CelerySettings",
    "DatabaseSettings",
    "ExportSettings",
    "FirstAdminSettings",
    "FlagSettings",
    "HealthSettings",
    "JobsSettings",
    "LogSettings",
    "MailSettings",
    "MetricsSettings",
    "OidcSettings",  # slice: oidc
    "OpenApiSettings",
    "PasskeySettings",  # slice: passkeys
    "RateLimitSettings",
    "RedisSettings",
    "SentrySettings",
    "Settings",
    "SettingsError",
    "ThrottleSettings",
    "TlsSettings",
    "TracingSettings",
    "load_settings",
    "variable",
]
