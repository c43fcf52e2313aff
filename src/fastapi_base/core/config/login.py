"""Settings of passkeys, identity providers, and login throttling."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode, SettingsConfigDict

from fastapi_base.core.config import validators
from fastapi_base.core.config.section import Seconds, Section, Words

ProviderName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
RedirectUri = Annotated[str, AfterValidator(validators.redirect_uri)]
Domain = Annotated[str, AfterValidator(validators.domain)]
Origins = Annotated[Words, AfterValidator(validators.origins)]
IssuerUrl = Annotated[str, AfterValidator(validators.issuer_url), Field(max_length=255)]


class PasskeySettings(Section):
    """Passkeys (WebAuthn). Disabled if `rp_id` is not set."""

    model_config = SettingsConfigDict(env_prefix="PASSKEY_")

    rp_id: Domain | None = None
    rp_name: str = "fastapi-base"
    origins: Origins = ()


class OidcProvider(BaseModel):
    """An identity provider (OpenID Connect).

    `redirect_uri` is the page of the application to which the provider redirects browsers. Use a
    different one for each provider (RFC 9700, 4.4.2).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: IssuerUrl
    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = None
    redirect_uri: RedirectUri
    label: str | None = None
    scopes: tuple[str, ...] = ("openid", "email")


def _from_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        # The text may contain a client secret.
        raise ValueError(f"must be JSON on one line: {type(error).__name__}") from None


Providers = Annotated[dict[ProviderName, OidcProvider], NoDecode, BeforeValidator(_from_json)]


class OidcSettings(Section):
    """Identity providers (OpenID Connect), by name. `timeout` is in seconds."""

    model_config = SettingsConfigDict(env_prefix="OIDC_")

    providers: Providers = Field(default={})
    timeout: Seconds = 5


class ThrottleSettings(Section):
    """Throttling of failed login attempts. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="THROTTLE_")

    pair_attempts: int = Field(default=5, gt=0)
    address_attempts: int = Field(default=50, gt=0)
    account_attempts: int = Field(default=100, gt=0)
    notice_attempts: int = Field(default=20, gt=0)
    max_wait_seconds: Seconds = 900
    memory_seconds: Seconds = 86_400
    known_seconds: Seconds = 7_776_000
    when_redis_fails: Literal["allow", "refuse"] = "allow"
