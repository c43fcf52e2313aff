"""Settings of identity providers, and the check of their combination."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode, SettingsConfigDict

from fastapi_base.core.config import validators
from fastapi_base.core.config.section import Seconds, Section

ProviderName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
RedirectUri = Annotated[str, AfterValidator(validators.redirect_uri)]
IssuerUrl = Annotated[str, AfterValidator(validators.issuer_url), Field(max_length=255)]


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


def unsafe_providers(settings: OidcSettings) -> list[str]:
    """A sentence for each provider that redirects browsers without TLS, in production."""
    return [
        f"OIDC_PROVIDERS: {name}: production requires an https:// redirect_uri"
        for name, provider in settings.providers.items()
        if not validators.is_private_url(provider.redirect_uri)
    ]
