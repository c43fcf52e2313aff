"""Settings: one small frozen model for each concern, read from the environment.

The variable is the model's prefix and the field's name: `DatabaseSettings.pool_size` is
`DATABASE_POOL_SIZE`. Nothing else in the service reads the environment. `.env.example` lists all.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    EmailStr,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fastapi_base.core import config_rules
from fastapi_base.core.config_cache import CacheSettings
from fastapi_base.core.config_data import AuditSettings, ExportSettings
from fastapi_base.core.config_jobs import CelerySettings, JobsSettings
from fastapi_base.core.config_login import OidcSettings, PasskeySettings, ThrottleSettings
from fastapi_base.core.config_observability import (
    HealthSettings,
    LogSettings,
    MetricsSettings,
    SentrySettings,
    TracingSettings,
)
from fastapi_base.core.section import Seconds, Words, split
from fastapi_base.core.section import Section as _Section
from fastapi_base.core.signing import Algorithm

DEVELOPMENT_SECRET = "development-only-secret-never-used-in-production"
DEVELOPMENT_ENCRYPTION_KEY = "development-only-encryption-key-never-in-production"
ENV_FILE = ".env"


class SettingsError(ValueError):
    """Settings that cannot be used. The message names each variable and what would be right."""


Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(split)]
Secret = Annotated[SecretStr, Field(repr=False)]
PostgresUrl = Annotated[SecretStr, AfterValidator(config_rules.asyncpg_url)]
OptionalPostgresUrl = Annotated[SecretStr | None, AfterValidator(config_rules.optional_asyncpg_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(config_rules.redis_url)]
Addresses = Annotated[Words, AfterValidator(config_rules.addresses)]
QuotaText = Annotated[str, AfterValidator(config_rules.quota)]
RouteQuotas = Annotated[Words, AfterValidator(config_rules.route_quotas)]
Networks = Annotated[Words, AfterValidator(config_rules.networks)]
Proxies = Annotated[Words, AfterValidator(config_rules.proxies)]
FlagDefaults = Annotated[Words, AfterValidator(config_rules.flag_defaults)]


class AppSettings(_Section):
    """What does not belong to one part."""

    environment: Literal["development", "test", "production"] = "development"
    debug: bool = False
    image_digest: str = ""


class ApiSettings(_Section):
    """The HTTP server and its edge."""

    model_config = SettingsConfigDict(env_prefix="API_")

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    workers: int = Field(default=0, ge=0, le=256)
    request_timeout: int = Field(default=60, gt=0)
    graceful_timeout: int = Field(default=30, gt=0)
    drain_seconds: int = Field(default=0, ge=0)
    keepalive: int = Field(default=65, gt=0)
    max_requests: int = Field(default=1_000_000, ge=0)
    max_requests_jitter: int = Field(default=100_000, ge=0)
    max_header_bytes: int = Field(default=32_768, ge=1024)
    max_headers: int = Field(default=100, ge=10)
    header_timeout: Seconds = 10
    backlog: int = Field(default=2048, gt=0)
    reload: bool = False
    docs: bool = True
    forwarded_allow_ips: Proxies = ("127.0.0.1",)
    trusted_hosts: Words = ("*",)
    cors_origins: Words = ()
    idempotency_hours: int = Field(default=24, gt=0)
    max_body_bytes: int = Field(default=1_048_576, gt=0)
    concurrency: int = Field(default=100, gt=0)
    queue_seconds: Seconds = 2
    deadline: Seconds = 30
    compress_from_bytes: int = Field(default=1000, ge=0)


class DatabaseSettings(_Section):
    """PostgreSQL. Timeouts are in seconds and set on every connection."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_")

    url: PostgresUrl = Field(
        default=SecretStr("postgresql+asyncpg://postgres:postgres@127.0.0.1:5432/fastapi_base"),
        validate_default=True,
    )
    replica_url: OptionalPostgresUrl = None
    ssl_mode: Literal["prefer", "disable", "require", "verify-ca", "verify-full"] = "prefer"
    ssl_ca_file: Path | None = None
    pgbouncer: bool = False
    pool_size: int = Field(default=10, gt=0)
    pool_overflow: int = Field(default=0, ge=0)
    statement_cache_size: int = Field(default=500, ge=0)
    pool_timeout: Seconds = 5
    pool_recycle: Seconds = 1800
    sql_comments: bool = False
    connect_timeout: Seconds = 5
    statement_timeout: Seconds = 15
    lock_timeout: Seconds = 5
    idle_transaction_timeout: Seconds = 30


class RedisSettings(_Section):
    """Redis: broker, sessions of browsers, counters. Timeouts are in seconds."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: RedisUrl = Field(default=SecretStr("redis://127.0.0.1:6379/0"), validate_default=True)
    sentinels: Addresses = ()
    sentinel_master: str = Field(default="mymaster", min_length=1)
    sentinel_password: SecretStr | None = None
    connect_timeout: Seconds = 2
    timeout: Seconds = 2
    max_connections: int = Field(default=50, gt=0)

    @property
    def sentinel_addresses(self) -> list[tuple[str, int]]:
        """Host and port of each Sentinel."""
        parts = [address.rpartition(":") for address in self.sentinels]
        return [(host.strip("[]"), int(port)) for host, _, port in parts]


class AuthSettings(_Section):
    """Tokens and passwords."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    jwt_secret: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    jwt_accepted_secrets: Secrets = ()
    jwt_algorithm: Algorithm = "HS256"
    jwt_private_key_file: Path | None = None
    jwt_accepted_keys_file: Path | None = None
    jwt_issuer: str = "fastapi-base"
    jwt_audience: str = "fastapi-base-api"
    access_token_seconds: int = Field(default=900, gt=0)
    refresh_token_seconds: int = Field(default=1_209_600, gt=0)
    session_seconds: int = Field(default=7_776_000, gt=0)
    refresh_leeway_seconds: int = Field(default=0, ge=0, le=60)
    encryption_key: SecretStr = SecretStr(DEVELOPMENT_ENCRYPTION_KEY)
    encryption_accepted_keys: Secrets = ()
    challenge_seconds: int = Field(default=300, gt=0, le=3600)
    fresh_seconds: int = Field(default=600, gt=0)
    totp_issuer: str = "fastapi-base"
    registration: Literal["open", "invite-only", "closed"] = "open"
    invitation_days: int = Field(default=7, gt=0)
    deletion_days: int = Field(default=14, ge=0)
    keep_ended_days: int = Field(default=30, ge=0)
    require_verified_email: bool = False
    verify_hours: int = Field(default=72, gt=0)
    reset_minutes: int = Field(default=30, gt=0)
    bcrypt_rounds: int = Field(default=12, ge=4, le=16)
    hash_threads: int = Field(default=1, ge=1, le=16)
    hash_queue: int = Field(default=16, ge=1)

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """The secret that is used, and those that are accepted besides."""
        return self.jwt_secret, *self.jwt_accepted_secrets


class MailSettings(_Section):
    """Where mails go, and what they say. `timeout` is in seconds."""

    model_config = SettingsConfigDict(env_prefix="MAIL_")

    host: str | None = None
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_file: Path | None = None
    username: str | None = None
    password: SecretStr | None = None
    timeout: Seconds = 20
    folder: Path | None = None
    sender: EmailStr = "no-reply@example.com"
    sender_name: str = Field(default="fastapi-base", pattern=r"^[^\x00-\x1f\x7f]+$", max_length=64)
    link_base: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://[^\s#]+$")


class RateLimitSettings(_Section):
    """How fast one caller may ask. Quotas look like 600/minute."""

    model_config = SettingsConfigDict(env_prefix="RATE_LIMIT_")

    enabled: bool = True
    principal: QuotaText = "1200/minute"
    address: QuotaText = "600/minute"
    routes: RouteQuotas = (
        "POST /api/v1/auth/register=30/hour",
        "POST /api/v1/jobs=120/minute",
    )
    exempt: Networks = ()


class FlagSettings(_Section):
    """Feature flags."""

    model_config = SettingsConfigDict(env_prefix="FEATURE_")

    flags: FlagDefaults = ()
    flags_poll_seconds: Seconds = 5


class FirstAdminSettings(_Section):
    """The account that `create-admin` makes."""

    model_config = SettingsConfigDict(env_prefix="FIRST_ADMIN_")

    email: EmailStr | None = None
    password: SecretStr | None = None


class Settings(BaseModel):
    """All settings, section by section. Make them with `Settings.load()`."""

    model_config = ConfigDict(frozen=True)

    app: AppSettings = Field(default_factory=AppSettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    passkey: PasskeySettings = Field(default_factory=PasskeySettings)
    oidc: OidcSettings = Field(default_factory=OidcSettings)
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

    @classmethod
    def load(cls, env_file: Path | str | None = ENV_FILE) -> Self:
        """Read the environment, and `.env` in the working folder where it says nothing.

        Raises SettingsError with one line for each variable that is wrong or unsafe.
        """
        problems: list[str] = []
        sections: dict[str, _Section] = {}
        for name, section in cls.sections().items():
            try:
                sections[name] = section(_env_file=env_file)  # type: ignore[call-arg]
            except ValidationError as error:
                problems += [
                    f"{variable(section, str(item['loc'][0]))}: {item['msg']}"
                    for item in error.errors()
                ]
        if problems:
            raise SettingsError("\n".join(problems))
        settings = cls.model_validate(sections)
        if unsafe := config_rules.unsafe(settings):
            raise SettingsError("\n".join(unsafe))
        return settings

    @classmethod
    def sections(cls) -> dict[str, type[_Section]]:
        """The model of each section, by name."""
        found = {name: field.annotation for name, field in cls.model_fields.items()}
        return {
            name: model
            for name, model in found.items()
            if isinstance(model, type) and issubclass(model, _Section)
        }


def variable(section: type[BaseSettings], field: str) -> str:
    """The environment variable of a field."""
    return f"{section.model_config.get('env_prefix', '')}{field}".upper()
