"""Settings of what is kept of accounts, and what is handed out."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.section import Section


class ExportSettings(Section):
    """Exports of accounts. `max_bytes` counts before they are packed, and fits any reader of ZIP
    without its extension for large files."""

    model_config = SettingsConfigDict(env_prefix="EXPORT_")

    max_bytes: int = Field(default=268_435_456, gt=0, lt=2**31)
    keep_days: int = Field(default=7, gt=0)
