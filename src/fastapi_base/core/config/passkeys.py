"""Settings of passkeys, and the check of their combination."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.config import validators
from fastapi_base.core.config.section import Section, Words

Domain = Annotated[str, AfterValidator(validators.domain)]
Origins = Annotated[Words, AfterValidator(validators.origins)]


class PasskeySettings(Section):
    """Passkeys (WebAuthn). Disabled if `rp_id` is not set."""

    model_config = SettingsConfigDict(env_prefix="PASSKEY_")

    rp_id: Domain | None = None
    rp_name: str = "fastapi-base"
    origins: Origins = ()


def unusable_passkeys(settings: PasskeySettings) -> list[str]:
    """A sentence for each combination that browsers refuse."""
    rp_id, origins = settings.rp_id, settings.origins
    if rp_id is None:
        return []
    found = [] if origins else ["PASSKEY_ORIGINS: required by PASSKEY_RP_ID"]
    for origin in origins:
        parts = urlsplit(origin)
        host = parts.hostname or ""
        # Browsers require the same: a secure context, on the domain or a subdomain.
        secure = parts.scheme == "https" or host == "localhost"
        if not secure or (host != rp_id and not host.endswith(f".{rp_id}")):
            found.append(
                f"PASSKEY_ORIGINS: {origin} must be https:// and on {rp_id} or a subdomain"
            )
    return found
