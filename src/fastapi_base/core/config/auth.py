"""Settings of tokens, passwords and accounts."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from fastapi_base.core.config.section import Section, split, unwrap
from fastapi_base.core.security.signing import Algorithm

DEVELOPMENT_SECRET = "development-only-secret-never-used-in-production"
DEVELOPMENT_ENCRYPTION_KEY = "development-only-encryption-key-never-in-production"

Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(split)]

_ACCEPTED = {
    "jwt_secret": "jwt_accepted_secrets",
    "encryption_key": "encryption_accepted_keys",
}


class AuthSettings(Section):
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
    clock_skew_seconds: int = Field(default=60, ge=0, le=300)
    refresh_leeway_seconds: int = Field(default=30, ge=0, le=60)
    encryption_key: SecretStr = SecretStr(DEVELOPMENT_ENCRYPTION_KEY)
    encryption_accepted_keys: Secrets = ()
    challenge_seconds: int = Field(default=300, gt=0, le=3600)
    fresh_seconds: int = Field(default=600, gt=0)
    totp_issuer: str = "fastapi-base"
    registration: Literal["open", "invite-only", "closed"] = "open"
    email_allow_special_domains: bool = False
    invitation_days: int = Field(default=7, gt=0)
    deletion_days: int = Field(default=14, ge=0)
    keep_ended_days: int = Field(default=30, ge=0)
    require_verified_email: bool = False
    verify_hours: int = Field(default=72, gt=0)
    reset_minutes: int = Field(default=30, gt=0)
    bcrypt_rounds: int = Field(default=12, ge=4, le=16)
    hash_threads: int = Field(default=1, ge=1, le=16)
    hash_queue: int = Field(default=16, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _keys_as_they_were(cls, values: Any) -> Any:
        """Also accept a key with its surrounding white space, in case it was used that way."""
        if not isinstance(values, dict):
            return values
        kept = dict(values)
        for name, accepted in _ACCEPTED.items():
            given = values.get(name)
            if isinstance(given, str) and unwrap(given) not in ("", given):
                kept[accepted] = [*(split(values.get(accepted)) or ()), SecretStr(given)]
        return kept

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """The signing secret, followed by those that are also accepted."""
        return self.jwt_secret, *self.jwt_accepted_secrets


class FirstAdminSettings(Section):
    """The account that `create-admin` creates."""

    model_config = SettingsConfigDict(env_prefix="FIRST_ADMIN_")

    email: str | None = None
    password: SecretStr | None = None
