"""Settings of the HTTP server, its limits and its rate limits."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.config import validators
from fastapi_base.core.config.section import Seconds, Section, Words

QuotaText = Annotated[str, AfterValidator(validators.quota)]
RouteQuotas = Annotated[Words, AfterValidator(validators.route_quotas)]
Networks = Annotated[Words, AfterValidator(validators.networks)]
Proxies = Annotated[Words, AfterValidator(validators.proxies)]
Host = Annotated[str, AfterValidator(validators.bind_host)]
Hosts = Annotated[Words, AfterValidator(validators.trusted_hosts)]
Origins = Annotated[Words, AfterValidator(validators.cors_origins)]
WebUrl = Annotated[str, AfterValidator(validators.web_url)]


class ApiSettings(Section):
    """The HTTP server and the limits on requests and connections."""

    model_config = SettingsConfigDict(env_prefix="API_")

    host: Host = "127.0.0.1"
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
    body_timeout: Seconds = 30
    body_pause: Seconds = 10
    pending_bodies_per_address: int = Field(default=32, gt=0)
    pending_body_bytes: int = Field(default=67_108_864, gt=0)
    write_timeout: Seconds = 30
    stream_seconds: Seconds = 3600
    streams: int = Field(default=200, gt=0)
    streams_per_account: int = Field(default=10, gt=0)
    max_connections: int = Field(default=10_000, gt=0)
    connections_per_address: int = Field(default=256, gt=0)
    backlog: int = Field(default=2048, gt=0)
    docs: bool = True
    plans: bool = True
    path_prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = ""
    forwarded_allow_ips: Proxies = ("127.0.0.1",)
    trusted_hosts: Hosts = ("*",)
    cors_origins: Origins = ()
    idempotency_hours: int = Field(default=24, gt=0)
    max_body_bytes: int = Field(default=1_048_576, gt=0)
    concurrency: int = Field(default=100, gt=0)
    queue_seconds: Seconds = 2
    deadline: Seconds = 30
    compress_from_bytes: int = Field(default=1000, ge=0)


class OpenApiSettings(Section):
    """What the OpenAPI description says about this deployment."""

    model_config = SettingsConfigDict(env_prefix="OPENAPI_")

    servers: Annotated[Words, AfterValidator(validators.servers)] = ()
    contact_name: str = ""
    contact_url: WebUrl | None = None
    contact_email: Annotated[str, Field(pattern=r"^[!-~]+@[!-~]+$")] | None = None
    license_name: str = ""
    license_url: WebUrl | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.license_url and not self.license_name:
            raise ValueError("OPENAPI_LICENSE_URL: also set OPENAPI_LICENSE_NAME")
        return self


class RateLimitSettings(Section):
    """Rate limits per principal, IP address and route, such as 600/minute."""

    model_config = SettingsConfigDict(env_prefix="RATE_LIMIT_")

    enabled: bool = True
    principal: QuotaText = "1200/minute"
    address: QuotaText = "600/minute"
    routes: RouteQuotas = (
        "POST /api/v1/auth/register=30/hour",
        "POST /api/v1/jobs=120/minute",
    )
    exempt: Networks = ()
