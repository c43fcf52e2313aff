"""Daily statistics."""

from datetime import date, datetime

from pydantic import BaseModel, ConfigDict, Field


class StatisticsOf(BaseModel):
    """The day to compute statistics of, in UTC."""

    day: date


class StatisticsRead(BaseModel):
    """The statistics of a day."""

    model_config = ConfigDict(from_attributes=True)

    day: date = Field(description="In UTC.", examples=["2026-01-31"])
    figures: dict[str, int] = Field(
        description="Counts by name; later releases may add more.",
        examples=[{"accounts_registered": 3, "accounts_active": 40, "jobs_failed": 0}],
    )
    computed_at: datetime = Field(examples=["2026-02-01T00:10:00Z"])
