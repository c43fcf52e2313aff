"""Daily statistics."""

from datetime import date, datetime

from sqlalchemy import Date, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from fastapi_base.models import base


class DayStatistics(SQLModel, table=True):
    """The figures of a day in UTC, by name, computed after it ends. No figure is personal data."""

    __tablename__ = "day_statistics"
    metadata = base.metadata

    day: date = Field(sa_type=Date, primary_key=True)
    figures: dict[str, int] = Field(sa_type=JSONB)
    computed_at: datetime = Field(sa_type=DateTime(timezone=True))
