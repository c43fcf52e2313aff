"""Settings of PostgreSQL, Redis, and TLS for outgoing connections."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, computed_field, model_validator
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.config import validators
from fastapi_base.core.config.postgres_url import PostgresUrl, SslMode, strongest
from fastapi_base.core.config.section import Seconds, Section, Words, unwrap
from fastapi_base.core.config.urls import parse_address, written


def _normal(value: SecretStr) -> SecretStr:
    return SecretStr(str(PostgresUrl.parse(value.get_secret_value())))


PostgresAddress = Annotated[SecretStr, AfterValidator(_normal)]
RedisUrl = Annotated[SecretStr, AfterValidator(validators.redis_url)]
Addresses = Annotated[Words, AfterValidator(validators.addresses)]
# PostgreSQL stores milliseconds in 32 bits.
Patience = Annotated[float, Field(gt=0, le=2_147_483)]


class TlsSettings(Section):
    """How clients verify servers.

    `verify` applies only to Redis and brokers. All other servers are always verified, PostgreSQL
    according to DATABASE_SSL_MODE.
    """

    model_config = SettingsConfigDict(env_prefix="TLS_")

    ca_file: Path | None = None
    verify: Literal["full", "none"] = "full"


class DatabaseSettings(Section):
    """PostgreSQL. Timeouts are in seconds and apply to every connection.

    Parameters of the URLs are merged into the corresponding settings. The TLS mode is the strictest
    of those in the URLs and DATABASE_SSL_MODE. For most other settings, the variable takes
    precedence.
    """

    model_config = SettingsConfigDict(env_prefix="DATABASE_")

    url: PostgresAddress = Field(
        default=SecretStr("postgresql+asyncpg://postgres:postgres@127.0.0.1:5432/fastapi_base"),
        validate_default=True,
    )
    replica_url: PostgresAddress | None = None
    ssl_mode: SslMode = "prefer"
    ssl_ca_file: Path | None = None
    pgbouncer: bool = False
    pool_size: int = Field(default=10, gt=0)
    pool_overflow: int = Field(default=0, ge=0)
    statement_cache_size: int = Field(default=500, ge=0)
    pool_timeout: Seconds = 5
    pool_recycle: Seconds = 1800
    sql_comments: bool = False
    connect_timeout: Seconds = 5
    statement_timeout: Patience = 15
    lock_timeout: Patience = 5
    idle_transaction_timeout: Patience = 30

    @model_validator(mode="before")
    @classmethod
    def _asked_by_urls(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        merged = dict(values)
        for asked in map(_asked, (values.get("url"), values.get("replica_url"))):
            for name, value in asked.items():
                merged[name] = _merged(name, merged.get(name), value)
        return merged

    @computed_field  # type: ignore[prop-decorator]
    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of the database, in the order in which they are tried."""
        return tuple(map(written, self.primary.hosts))

    @property
    def primary(self) -> PostgresUrl:
        """The parsed URL."""
        return PostgresUrl.parse(self.url.get_secret_value())

    @property
    def replica(self) -> PostgresUrl | None:
        """The parsed URL of the replica, or None."""
        return (
            None
            if self.replica_url is None
            else PostgresUrl.parse(self.replica_url.get_secret_value())
        )


def _asked(url: Any) -> dict[str, Any]:
    text = url.get_secret_value() if isinstance(url, SecretStr) else unwrap(url)
    try:
        return PostgresUrl.parse(text).asked if isinstance(text, str) and text else {}
    except ValueError:
        # The validator of the field reports the error under its own name.
        return {}


def _merged(name: str, given: Any, asked: Any) -> Any:
    given = unwrap(given)
    if given in (None, ""):
        return asked
    if name == "ssl_mode":
        try:
            return strongest([given, asked])
        except ValueError:
            return given
    if name == "ssl_ca_file" and Path(given) != asked:
        raise ValueError(
            "DATABASE_SSL_CA_FILE: differs from sslrootcert in a URL; keep one of them"
        )
    if name == "pgbouncer":
        # A URL that requests PgBouncer mode takes precedence: statements would fail without it.
        return asked
    return given


class RedisSettings(Section):
    """Redis: broker, browser sessions, counters. Timeouts are in seconds."""

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
        return [(host, port or 26_379) for host, port in map(parse_address, self.sentinels)]

    @property
    def encrypted(self) -> bool:
        """Whether connections to Redis and its Sentinels use TLS."""
        return self.url.get_secret_value().startswith("rediss:")
