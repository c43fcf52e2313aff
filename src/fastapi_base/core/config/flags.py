"""Settings of feature flags."""

from typing import Annotated

from pydantic import AfterValidator
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.config import validators
from fastapi_base.core.config.section import Seconds, Section, Words

FlagDefaults = Annotated[Words, AfterValidator(validators.flag_defaults)]


class FlagSettings(Section):
    """Feature flags."""

    model_config = SettingsConfigDict(env_prefix="FEATURE_")

    flags: FlagDefaults = ()
    flags_poll_seconds: Seconds = 0.5
