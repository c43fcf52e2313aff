"""Settings of other ways to log in than a password, and of failed attempts."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from fastapi_base.core import config_rules
from fastapi_base.core.section import Seconds, Section, Words

ProviderName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
IssuerUrl = Annotated[str, AfterValidator(config_rules.issuer_url), Field(max_length=255)]


class PasskeySettings(Section):
    """Passkeys (WebAuthn). Without `rp_id` there are none."""

    model_config = SettingsConfigDict(env_prefix="PASSKEY_")

    rp_id: str | None = None
    rp_name: str = "fastapi-base"
    origins: Words = ()


class OidcProvider(BaseModel):
    """A provider of identities. `redirect_uri` is the page of ours that it sends browsers back to;
    one page for each provider is best (RFC 9700, 4.4.2)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: IssuerUrl
    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = None
    redirect_uri: str = Field(pattern=r"^https?://[^\s#]+$")
    label: str | None = None
    scopes: tuple[str, ...] = ("openid", "email")


class OidcSettings(Section):
    """Providers of identities (OpenID Connect), by name. `timeout` is in seconds."""

    model_config = SettingsConfigDict(env_prefix="OIDC_")

    providers: dict[ProviderName, OidcProvider] = Field(default={})
    timeout: Seconds = 5


class ThrottleSettings(Section):
    """Failed attempts to log in. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="THROTTLE_")

    pair_attempts: int = Field(default=5, gt=0)
    address_attempts: int = Field(default=50, gt=0)
    account_attempts: int = Field(default=100, gt=0)
    notice_attempts: int = Field(default=20, gt=0)
    max_wait_seconds: Seconds = 900
    memory_seconds: Seconds = 86_400
    known_seconds: Seconds = 7_776_000
    when_redis_fails: Literal["allow", "refuse"] = "allow"
