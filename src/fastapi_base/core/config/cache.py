"""Settings of the cache."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.config.section import Seconds, Section


class CacheSettings(Section):
    """The cache in Redis, and the in-process tier."""

    model_config = SettingsConfigDict(env_prefix="CACHE_")

    enabled: bool = True
    local_entries: int = Field(default=0, ge=0)
    local_seconds: Seconds = 1
