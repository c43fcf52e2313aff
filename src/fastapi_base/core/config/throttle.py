"""Settings of login throttling."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.config.section import Seconds, Section


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
