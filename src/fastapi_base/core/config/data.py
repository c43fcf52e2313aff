"""Settings of data retention and account exports."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.config.section import Section

# The database refuses to delete more recent events (migration 0017).
AUDIT_SHORTEST_DAYS = 30


def _long_enough(days: int) -> int:
    if 0 < days < AUDIT_SHORTEST_DAYS:
        raise ValueError(f"must be 0 (keep all events) or at least {AUDIT_SHORTEST_DAYS}")
    return days


class AuditSettings(Section):
    """The audit log."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_")

    keep_days: Annotated[int, AfterValidator(_long_enough)] = Field(default=365, ge=0)


class ExportSettings(Section):
    """Exports of accounts.

    `max_bytes` limits the uncompressed size; archives of that size need no ZIP64 extensions.
    """

    model_config = SettingsConfigDict(env_prefix="EXPORT_")

    max_bytes: int = Field(default=268_435_456, gt=0, lt=2**31)
    keep_days: int = Field(default=7, gt=0)
